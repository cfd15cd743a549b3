# What `cmake --install` puts where: headers, the libraries, pkg-config, the CMake package, dx.
#
# SPDX-License-Identifier: Apache-2.0
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/DisruptorX)

install(DIRECTORY include/disruptorx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
        FILES_MATCHING PATTERN "*.h")
install(TARGETS disruptorx_static disruptorx_shared disruptorx_node_static disruptorx_node_shared
        EXPORT DisruptorXTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime
                NAMELINK_COMPONENT development)
install(EXPORT DisruptorXTargets NAMESPACE DisruptorX:: DESTINATION ${package_dir}
        COMPONENT development)
add_library(DisruptorX::disruptorx ALIAS disruptorx_shared)
add_library(DisruptorX::disruptorx_static ALIAS disruptorx_static)
add_library(DisruptorX::node ALIAS disruptorx_node_shared)
add_library(DisruptorX::node_static ALIAS disruptorx_node_static)

write_basic_package_version_file(${PROJECT_BINARY_DIR}/DisruptorXConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES cmake/DisruptorXConfig.cmake ${PROJECT_BINARY_DIR}/DisruptorXConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT development)

# Relative to the .pc file, so that an installed tree can be moved: <prefix>/<libdir>/pkgconfig.
file(RELATIVE_PATH DX_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
# What the static library needs, as names and not as Requires.private: that asks for the development
# packages of all of it of those, too, who link the shared one.
get_property(DX_PC_NODE_LIBRARIES GLOBAL PROPERTY DX_NODE_LIBRARIES)
list(TRANSFORM DX_PC_NODE_LIBRARIES PREPEND -l)
list(JOIN DX_PC_NODE_LIBRARIES " " DX_PC_NODE_LIBRARIES)
foreach(package IN ITEMS disruptorx disruptorx-node)
    configure_file(cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${package}.pc
            DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()

if(TARGET dx)
    install(TARGETS dx RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT node)
endif()

# `cpack` in a build folder makes three Debian packages of what `cmake --install` puts there:
#
#     libdisruptorx0      the shared libraries
#     libdisruptorx-dev   headers, static libraries, pkg-config, the CMake package
#     disruptorx          dx with its manual and completions, the service, its configuration
#
# Only a package puts files into /etc: the configuration, which stays when the package is removed.
# tests/install/packages.sh builds, installs, uses and removes them.
#
# SPDX-License-Identifier: Apache-2.0
set(share share/disruptorx)
install(DIRECTORY deploy/grafana deploy/prometheus deploy/sysctl DESTINATION ${share}
        COMPONENT node)
install(FILES deploy/node.yaml DESTINATION ${share} COMPONENT node)
install(FILES deploy/systemd/disruptorx.service DESTINATION lib/systemd/system COMPONENT node)
foreach(kind IN ITEMS sysusers tmpfiles)
    install(FILES deploy/systemd/disruptorx.${kind} DESTINATION lib/${kind}.d
            RENAME disruptorx.conf COMPONENT node)
endforeach()
install(FILES deploy/node.yaml DESTINATION /etc/disruptorx COMPONENT node EXCLUDE_FROM_ALL)
foreach(package IN ITEMS runtime:libdisruptorx0 development:libdisruptorx-dev node:disruptorx)
    string(REPLACE ":" ";" package ${package})
    list(GET package 0 component)
    list(GET package 1 name)
    install(FILES LICENSE DESTINATION share/doc/${name} RENAME copyright COMPONENT ${component}
            EXCLUDE_FROM_ALL)
    install(FILES CHANGELOG.md DESTINATION share/doc/${name} COMPONENT ${component}
            EXCLUDE_FROM_ALL)
    string(TOUPPER ${component} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME disruptorx)
set(CPACK_PACKAGE_VENDOR "DisruptorX")
set(CPACK_PACKAGE_CONTACT "DisruptorX <disruptorx@localhost>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_SET_DESTDIR ON) # absolute folders, /etc, go into the package and not into this system
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)
set(CPACK_COMPONENTS_ALL runtime development node)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
    "the LMAX Disruptor as a native library\n Shared libraries: the rings; and all of the node.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_GENERATE_SHLIBS ON)

set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "development files of DisruptorX\n Headers, static libraries, pkg-config and CMake files.")
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS runtime)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)

string(CONCAT CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS # to link the static library of the node
    "liblz4-dev, libzstd-dev, libcurl4-openssl-dev | libcurl4-gnutls-dev, libjansson-dev, "
    "libuv1-dev, libssl-dev, libyaml-dev, libmicrohttpd-dev, libgnutls28-dev")

set(CPACK_COMPONENT_NODE_DESCRIPTION
    "event bus for this host and others\n The node as a service, and dx, to run and use it.")
set(CPACK_DEBIAN_NODE_PACKAGE_SECTION net)
set(CPACK_DEBIAN_NODE_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_NODE_PACKAGE_RECOMMENDS "systemd")
set(CPACK_DEBIAN_NODE_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/conffiles)
foreach(script IN ITEMS postinst prerm postrm)
    list(APPEND CPACK_DEBIAN_NODE_PACKAGE_CONTROL_EXTRA
         ${PROJECT_SOURCE_DIR}/deploy/debian/${script})
endforeach()
file(WRITE ${PROJECT_BINARY_DIR}/conffiles "/etc/disruptorx/node.yaml\n")
include(CPack)

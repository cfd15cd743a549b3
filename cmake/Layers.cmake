# The layers of src/, top of the list first. A layer may use only the layers before it in the list;
# tools/check_layers.py refuses the opposite in every build and reads the order from here.
#
# SPDX-License-Identifier: Apache-2.0

set(DX_LAYERS base ring wire trace net yaml access store consensus cluster bus workflow admin node
              client cli)

# The layers that libdisruptorx is made of. They need libc and pthreads only.
set(DX_LIBRARY_LAYERS base ring)

# dx_add_layer(<name> [<sources>...] [LIBRARIES <libraries>...])
#
# Makes the object library dx_<name> from src/<name>. Without sources it takes every *.c of the
# folder but main.c, which is a program's entry and stays out of what tests link.
function(dx_add_layer name)
    cmake_parse_arguments(PARSE_ARGV 1 layer "" "" "LIBRARIES")
    if(NOT name IN_LIST DX_LAYERS)
        message(FATAL_ERROR "Layer ${name} is not in DX_LAYERS (cmake/Layers.cmake): add it at its "
                            "place in the order.")
    endif()
    set(sources ${layer_UNPARSED_ARGUMENTS})
    if(NOT sources)
        file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
        list(FILTER sources EXCLUDE REGEX "/main\\.c$")
    endif()
    if(NOT sources)
        message(STATUS "Layer ${name}: no source yet, left out")
        return()
    endif()
    add_library(dx_${name} OBJECT ${sources})
    set_target_properties(dx_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_include_directories(dx_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include
                                          PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(dx_${name} PRIVATE dx_flags PUBLIC ${layer_LIBRARIES})
    set_property(GLOBAL APPEND PROPERTY DX_LIBRARIES_OF_LAYERS ${layer_LIBRARIES})
    if(TARGET check_layers)
        add_dependencies(dx_${name} check_layers)
    endif()
endfunction()

# dx_layer_packages(<variable> <package>...): the libraries of packages by their pkg-config names.
function(dx_layer_packages variable)
    find_package(PkgConfig REQUIRED)
    set(libraries)
    foreach(package IN LISTS ARGN)
        pkg_check_modules(${package} QUIET ${package})
        if(NOT ${package}_FOUND)
            message(FATAL_ERROR "${package} is missing: run tools/setup.sh build")
        endif()
        list(APPEND libraries ${${package}_LIBRARIES})
    endforeach()
    set(${variable} ${libraries} PARENT_SCOPE)
endfunction()

# dx_add_program(<target> <source>...): a program of ours that may use every layer and any private
# header. `dx_internal` holds all layers but cli.
function(dx_add_program target)
    add_executable(${target} ${ARGN})
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(${target} PRIVATE dx_internal dx_flags)
endfunction()

# dx_left_out_of_race_builds(<source> <variable>): true when the build checks races and the test
# shares rings with children. The race checker can't follow a process that forks while it has
# threads, and sees no order between two mappings of one file, so what is ordered there looks racy.
function(dx_left_out_of_race_builds source variable)
    set(signs "shares rings with children|share_test\\.h|dx_ring_attach|DX_SHARE_ATTACH")
    file(STRINGS ${source} shares REGEX "${signs}")
    set(${variable} FALSE PARENT_SCOPE)
    if(shares AND DX_SANITIZE MATCHES "thread")
        set(${variable} TRUE PARENT_SCOPE)
    endif()
endfunction()

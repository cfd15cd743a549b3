# The order of the layers is part of every build: dx_<layer> depends on check_layers.
#
# SPDX-License-Identifier: Apache-2.0
find_package(Python3 REQUIRED COMPONENTS Interpreter)

file(GLOB_RECURSE layer_files CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/src/*.c ${PROJECT_SOURCE_DIR}/src/*.h
     ${PROJECT_SOURCE_DIR}/include/disruptorx/*.h)
set(layer_stamp ${PROJECT_BINARY_DIR}/layers.stamp)
add_custom_command(OUTPUT ${layer_stamp}
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/check_layers.py --stamp ${layer_stamp}
    DEPENDS ${layer_files} ${PROJECT_SOURCE_DIR}/tools/check_layers.py
            ${PROJECT_SOURCE_DIR}/cmake/Layers.cmake
    COMMENT "Checking the order of the layers" VERBATIM)
add_custom_target(check_layers ALL DEPENDS ${layer_stamp})

# Files that a program carries inside: dx_embed() makes a C source of them at build time.
#
# Included, it defines the function; run as a script (cmake -P), it writes the source. Nothing but
# CMake is needed.
#
# SPDX-License-Identifier: Apache-2.0

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
    # -DOUTPUT=... -DROOT=... -DNAMES="a,b": the files ROOT/a and ROOT/b.
    string(REPLACE "," ";" names "${NAMES}")
    set(arrays "")
    set(rows "")
    set(number 0)
    foreach(name IN LISTS names)
        file(READ ${ROOT}/${name} hex HEX)
        string(LENGTH "${hex}" digits)
        math(EXPR bytes "${digits} / 2")
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
        string(APPEND arrays "static const unsigned char FILE_${number}[] = {${hex}0};\n")
        string(APPEND rows "    {\"${name}\", FILE_${number}, ${bytes}},\n")
        math(EXPR number "${number} + 1")
    endforeach()
    file(WRITE ${OUTPUT}.new
         "/* Written by cmake/Embed.cmake. */\n#include \"cli/embedded.h\"\n\n${arrays}\n"
         "const dxi_embedded_t DXI_EMBEDDED[] = {\n${rows}    {0, 0, 0},\n};\n")
    file(RENAME ${OUTPUT}.new ${OUTPUT})
    return()
endif()

set(DX_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

# dx_embed(<target> <root> <names>...): the program or objects of <target> have the files
# <root>/<name> in DXI_EMBEDDED (src/cli/embedded.h).
function(dx_embed target root)
    set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded.c)
    set(files)
    foreach(name IN LISTS ARGN)
        list(APPEND files ${root}/${name})
    endforeach()
    string(REPLACE ";" "," names "${ARGN}")
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DROOT=${root} "-DNAMES=${names}"
                -P ${DX_EMBED_SCRIPT}
        DEPENDS ${files} ${DX_EMBED_SCRIPT} COMMENT "Embedding deploy/" VERBATIM)
    target_sources(${target} PRIVATE ${output})
endfunction()

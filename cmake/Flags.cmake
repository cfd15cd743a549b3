# Compiler flags. Every target of ours links dx_flags; nothing of it is installed.
#
# SPDX-License-Identifier: Apache-2.0

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(dx_flags INTERFACE)

target_compile_options(dx_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wvla>
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    # __FILE__ in a message is relative to the repository, so a binary names no machine's folders.
    -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(DX_WERROR)
    target_compile_options(dx_flags INTERFACE -Werror)
endif()
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
    # Statement expressions are GNU C; gcc accepts them after __extension__, clang wants the flag.
    target_compile_options(dx_flags INTERFACE -Wno-gnu-statement-expression)
endif()

target_compile_definitions(dx_flags INTERFACE
    # -std=c17 hides syscall(), affinity and the rest of Linux. Empty, so that a file which says
    # `#define _GNU_SOURCE` itself does not redefine it. g++ always sets it.
    $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>
    DX_TEST_HOOKS=$<BOOL:${DX_TEST_HOOKS}>
    DX_VERSION_STRING="${PROJECT_VERSION}")

# All addresses are found at the start. Else the loader finds each at its first call, and saves the
# processor's registers meanwhile on the stack, where they stay, with a token in them, say.
target_link_options(dx_flags INTERFACE -Wl,-z,relro,-z,now)

if(DX_SANITIZE)
    set(sanitize -fsanitize=${DX_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1)
    if(DX_SANITIZE MATCHES "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        # gcc warns that its race checker does not model fences. The only one, dx_fence_seq_cst(),
        # stands between atomics, where missing it can't make a false report.
        list(APPEND sanitize -Wno-tsan)
    endif()
    target_compile_options(dx_flags INTERFACE ${sanitize})
    target_link_options(dx_flags INTERFACE -fsanitize=${DX_SANITIZE})
endif()
if(DX_COVERAGE)
    # Atomic counters: several threads run the same lines.
    target_compile_options(dx_flags INTERFACE --coverage -fprofile-update=atomic -O0 -g)
    target_link_options(dx_flags INTERFACE --coverage)
endif()

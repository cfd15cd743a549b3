/* base/secret.h - memory for secrets: in no core, and wiped when it is given back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_SECRET_H
#define DXI_BASE_SECRET_H

#include <stddef.h>

#include "disruptorx/platform.h"

/* Zeroed memory of its own pages, which the kernel leaves out of a core (MADV_DONTDUMP). NULL when
 * there is none. dxi_secret_free() wipes it and gives it back; NULL is allowed.
 * A fault point. Threads: any. */
DX_NODISCARD void *dxi_secret_alloc(size_t bytes);
void dxi_secret_free(void *memory, size_t bytes);

#endif

/* node/openapi.h - docs/openapi.json, as a node serves it. CMake makes the C file
 * (tools/embed_text.py).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_OPENAPI_H
#define DXI_NODE_OPENAPI_H

#include <stddef.h>

extern const unsigned char DXI_OPENAPI[];
extern const size_t DXI_OPENAPI_BYTES;

#endif

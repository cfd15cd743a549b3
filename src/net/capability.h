/* net/capability.h - what one side of a connection may understand beyond the first version: bits of
 * DX_PART_CAPABILITIES. A bit is never given a second meaning; docs/protocol.md lists them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_CAPABILITY_H
#define DXI_NET_CAPABILITY_H

#include <stdint.h>

#define DXI_CAPABILITY_LZ4 (UINT64_C(1) << 0)      /* BATCH frames with lz4 */
#define DXI_CAPABILITY_ZSTD (UINT64_C(1) << 1)     /* and with zstd */
#define DXI_CAPABILITY_PACK (UINT64_C(1) << 2)     /* PUBLISH and EVENT with several events */
#define DXI_CAPABILITY_SHM (UINT64_C(1) << 3)      /* frames over shared memory */
#define DXI_CAPABILITY_COMPRESS (UINT64_C(1) << 4) /* a wish: send BATCH frames where you can */
#define DXI_CAPABILITY_DIRECT (UINT64_C(1) << 5)   /* the question for rings of direct topics */

#endif

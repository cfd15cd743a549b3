/* cli/format.h - moved to base/format.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/format.h"

/* cli/nearest.h - moved to base/nearest.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/nearest.h"

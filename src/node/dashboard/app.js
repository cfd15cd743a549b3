/* app.js - starts the page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
document.getElementById("main").textContent = "The dashboard is being made.";

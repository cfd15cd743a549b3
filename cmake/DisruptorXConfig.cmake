# find_package(DisruptorX) gives DisruptorX::disruptorx (shared) and DisruptorX::disruptorx_static,
# the rings; and DisruptorX::node and DisruptorX::node_static, which are everything. Link one of
# them.
#
# SPDX-License-Identifier: Apache-2.0
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/DisruptorXTargets.cmake)

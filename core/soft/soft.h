/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft backend: a machine whose CPUs are interpreted over the shadow MMU in core/mem. Runs anywhere, without privileges.
 */
#ifndef KVMSCOPE_CORE_SOFT_SOFT_H
#define KVMSCOPE_CORE_SOFT_SOFT_H

struct machine_ops;
extern const struct machine_ops soft_backend;

#endif

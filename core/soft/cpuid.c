/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * CPUID: what this CPU executes, and no more.
 */
#include "core/soft/exec.h"

static void brand(uint32_t leaf, uint32_t out[4])
{
	static const char name[49] = "kvmscope soft CPU";

	memcpy(out, name + 16 * (leaf - 0x80000002u), 16);
}

static void cpuid(const struct soft_cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	memset(out, 0, 16);
	switch (leaf) {
	case 0:
		out[0] = 7;
		memcpy(&out[1], "kvms", 4), memcpy(&out[3], "cope", 4), memcpy(&out[2], "soft", 4);
		return;
	case 1:
		out[0] = 0x600f20;
		out[1] = c->index << 24 | 8u << 8; /* CLFLUSH lines of 64 bytes */
		/* cx16, movbe, popcnt */
		out[2] = 1u << 13 | 1u << 22 | 1u << 23;
		/* fpu (state only), de, pse, tsc, msr, pae, cx8, sep, pge, cmov, pat, pse36, clflush, fxsr, sse, sse2 */
		out[3] = 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 11 | 1u << 13 |
			 1u << 15 | 1u << 16 | 1u << 17 | 1u << 19 | 1u << 24 | 1u << 25 | 1u << 26;
		return;
	case 7:
		if (!sub) {
			out[1] = 1u << 0 | 1u << 7 | 1u << 20; /* fsgsbase, smep, smap */
			out[2] = 1u << 2 | 1u << 16;	       /* umip, la57 */
		}
		return;
	case 0x80000000:
		out[0] = 0x80000008;
		return;
	case 0x80000001:
		out[2] = 1u << 0; /* lahf in 64-bit code */
		out[3] =
		    1u << 11 | 1u << 20 | 1u << 26 | 1u << 27 | 1u << 29; /* syscall, nx, 1 GiB pages, rdtscp, long mode */
		return;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		brand(leaf, out);
		return;
	case 0x80000008:
		out[0] = c->pg.maxphyaddr | 57u << 8;
		return;
	default:
		return;
	}
}

const struct uop *op_cpuid(struct soft_cpu *c, const struct uop *u)
{
	uint32_t out[4];

	cpuid(c, (uint32_t)c->gpr[RAX], (uint32_t)c->gpr[RCX], out);
	c->gpr[RAX] = out[0];
	c->gpr[RBX] = out[1];
	c->gpr[RCX] = out[2];
	c->gpr[RDX] = out[3];
	return u + 1;
}

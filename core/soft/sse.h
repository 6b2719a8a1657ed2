/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The SSE2 subset, between decoder and executor: packed operations (uop.cond is a number in this list), and how a move
 * moves.
 */
#ifndef KVMSCOPE_CORE_SOFT_SSE_H
#define KVMSCOPE_CORE_SOFT_SSE_H

/* The instruction's name in capstone, and the operation. The formatter would pack this list until nobody can read it. */
/* clang-format off */
#define SSE_PACKED(X) \
	X(PAND, and) X(ANDPS, and) X(ANDPD, and) X(PANDN, andn) X(ANDNPS, andn) X(ANDNPD, andn) X(POR, or) X(ORPS, or) \
	X(ORPD, or) X(PXOR, xor) X(XORPS, xor) X(XORPD, xor) X(PADDB, addb) X(PADDW, addw) X(PADDD, addd) X(PADDQ, addq) \
	X(PSUBB, subb) X(PSUBW, subw) X(PSUBD, subd) X(PSUBQ, subq) X(PCMPEQB, eqb) X(PCMPEQW, eqw) X(PCMPEQD, eqd) \
	X(PCMPGTB, gtb) X(PCMPGTW, gtw) X(PCMPGTD, gtd) X(PMINUB, minub) X(PMAXUB, maxub) X(PMINSW, minsw) \
	X(PMAXSW, maxsw) X(PMULLW, mullw) X(PAVGB, avgb) X(PSLLW, sllw) X(PSLLD, slld) X(PSLLQ, sllq) X(PSRLW, srlw) \
	X(PSRLD, srld) X(PSRLQ, srlq) X(PSRAW, sraw) X(PSRAD, srad) X(PSLLDQ, slldq) X(PSRLDQ, srldq) \
	X(PUNPCKLBW, unpcklbw) X(PUNPCKLWD, unpcklwd) X(PUNPCKLDQ, unpckldq) X(PUNPCKLQDQ, unpcklqdq) \
	X(PUNPCKHBW, unpckhbw) X(PUNPCKHWD, unpckhwd) X(PUNPCKHDQ, unpckhdq) X(PUNPCKHQDQ, unpckhqdq) \
	X(UNPCKLPS, unpckldq) X(UNPCKLPD, unpcklqdq) X(UNPCKHPS, unpckhdq) X(UNPCKHPD, unpckhqdq) X(PACKUSWB, packuswb) \
	X(PSHUFD, shufd) X(PSHUFLW, shuflw) X(PSHUFHW, shufhw) X(SHUFPS, shufps) X(SHUFPD, shufpd) X(PMULUDQ, muludq)
/* clang-format on */

enum sse_move { MOVE_ALL, MOVE_LOW_ZERO, MOVE_LOW_KEEP, MOVE_HIGH, MOVE_HIGH_TO_LOW };

#endif

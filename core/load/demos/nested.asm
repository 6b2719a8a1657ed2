; SPDX-License-Identifier: GPL-3.0-or-later
;
; nested: a guest (L1) that runs a guest of its own (L2) with SVM: AMD APM vol. 2, chapter 15 and appendix B. L1 makes a VMCB,
; nested tables (L2 gpa to L1 gpa) and L2's own tables (L2 gva to L2 gpa), runs L2 and tells on the console why it came back.
; L2 gpas 0x8000 and 0x9000 are one page of L1's, gfn 0x60, so that its reverse map has two entries of the nested guest.
;
;   entered   at each VMRUN; `exited` behind it
;   l2_touch  L2 writes gfn 0x60 at one address and reads it at the other
;   l2_hole   L2 reads what the nested tables do not map yet: L1 has a nested page fault, and maps gfn 0x62
;   l2_spin   where L2 stays as long as `forever` is not 0
;
; With a byte `paging` of 0, or where L1's CPU lacks them, there are no nested tables: L2's own lead to L1's gpas then.
bits 64
%include "core/load/demos/long.inc"

MSR_EFER equ	0xc0000080
SVME	equ	1 << 12
MSR_HSAVE equ	0xc0010117
UP	equ	0x200000		; gva - gpa of what L1 keeps for L2
VMCB	equ	0x40000			; gpas of L1's
HSAVE	equ	0x41000
NPT	equ	0x42000			; four levels, a page each
L2	equ	0x50000			; L2 gpa 0: its code; 0x1000 to 0x4fff: its tables
PAGES	equ	0x400000		; L2 gva of L2 gpa 0
RWU	equ	7
EXIT_HLT equ	0x78
EXIT_VMMCALL equ 0x81
EXIT_NPF equ	0x400
AT_CODE	equ	0x70			; in the VMCB
AT_INFO1 equ	0x78
AT_INFO2 equ	0x80
AT_NP	equ	0x90
AT_CR3	equ	0x550
AT_RIP	equ	0x578
AT_RAX	equ	0x5f8

section .text
global start
start:
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, SVME
	wrmsr
	mov	ecx, MSR_HSAVE
	mov	eax, HSAVE
	xor	edx, edx
	wrmsr
	mov	eax, 0x8000000a
	cpuid
	and	[paging], dl		; bit 0: nested paging
	mov	rsi, both
	call	poke
	cmp	byte [paging], 0
	jne	enter_l2
	mov	rsi, unpaged
	call	poke
; L2's rbx and rsi are in the registers, its rax is in the VMCB.
enter_l2:
	mov	eax, VMCB
	clgi
entered:
	vmrun				; the VMCB at rax
exited:
	stgi
	push	rsi
	inc	qword [exits]
	mov	rdi, VMCB + UP
	mov	rax, [rdi + AT_CODE]
	cmp	rax, EXIT_VMMCALL
	je	called
	cmp	rax, EXIT_NPF
	je	hole
	mov	rsi, text_halted
	mov	rdx, [exits]
	cmp	rax, EXIT_HLT
	je	last
	mov	rsi, text_other
	mov	rdx, rax
last:
	call	tell
	hlt
	jmp	$ - 1
called:
	mov	rsi, text_called
	mov	rdx, [rdi + AT_RAX]
	call	tell
	add	qword [rdi + AT_RIP], 3	; VMMCALL's length
	jmp	go_on
hole:
	mov	rsi, text_hole
	mov	rdx, [rdi + AT_INFO2]
	call	tell
	mov	rsi, text_error
	mov	rdx, [rdi + AT_INFO1]
	call	tell
	mov	qword [NPT + UP + 0x3000 + 0xb * 8], 0x62000 | RWU
go_on:
	pop	rsi
	jmp	enter_l2
; Store the pairs of address and value at rsi, up to an address of 0.
poke:
	lodsq
	mov	rdi, rax
	lodsq
	mov	[rdi], rax
	cmp	qword [rsi], 0
	jne	poke
	ret
; The text at rsi, then rdx in 16 digits.
tell:
	lodsb
	test	al, al
	jz	.number
	out	0xe9, al
	jmp	tell
.number:
	mov	ecx, 16
.digit:
	rol	rdx, 4
	mov	eax, edx
	and	eax, 15
	mov	al, [digits + rax]
	out	0xe9, al
	loop	.digit
	mov	al, 10
	out	0xe9, al
	ret

section .data
paging:	db	1
	align	8
exits:	dq	0
digits:	db	"0123456789abcdef"
text_called: db	"L1: VMMCALL, rax ", 0
text_hole: db	"L1: nested page fault at L2 gpa ", 0
text_error: db	"L1: its error code ", 0
text_halted: db	"L1: L2 has halted, exits ", 0
text_other: db	"L1: unexpected exit code ", 0
; Pairs of address and value. A segment at %1 of the VMCB, flags %2, selector %3, limit 4 GiB; %3 entries of a table at %1 to %2 and on.
%macro segment_at 3
	dq	VMCB + UP + %1, %3 | %2 << 16 | 0xffffffff << 32
%endmacro
%macro entries 3
%assign i 0
%rep %3
	dq	%1 + i * 8, %2 + i * 0x1000 | RWU
%assign i i + 1
%endrep
%endmacro
	align	8
both:	dq	VMCB + UP + 0x08, 1 << 24 << 32		; HLT leaves L2
	dq	VMCB + UP + 0x10, 3, VMCB + UP + 0x58, 1	; so do VMRUN and VMMCALL; its address space number
	dq	VMCB + UP + AT_NP, 1, VMCB + UP + 0xb0, NPT
	segment_at 0x400, 0xc93, 0x10
	segment_at 0x410, 0xa9b, 0x08
	segment_at 0x420, 0xc93, 0x10
	segment_at 0x430, 0xc93, 0x10
	dq	VMCB + UP + 0x4d0, 0x1500		; EFER: SVME, LMA, LME
	dq	VMCB + UP + 0x548, 0x20			; CR4: PAE
	dq	VMCB + UP + AT_CR3, 0x1000
	dq	VMCB + UP + 0x558, 0x80010033		; CR0: PG, WP, NE, ET, MP, PE
	dq	VMCB + UP + 0x560, 0x400, VMCB + UP + 0x568, 0xffff0ff0	; DR7, DR6
	dq	VMCB + UP + 0x570, 2, VMCB + UP + AT_RIP, l2_start
	dq	VMCB + UP + 0x668, 0x0007040600070406	; PAT
	dq	NPT + UP, NPT + 0x1000 | RWU, NPT + UP + 0x1000, NPT + 0x2000 | RWU, NPT + UP + 0x2000, NPT + 0x3000 | RWU
	entries NPT + UP + 0x3000, L2, 5
	dq	NPT + UP + 0x3040, 0x60000 | RWU, NPT + UP + 0x3048, 0x60000 | RWU, NPT + UP + 0x3050, 0x61000 | RWU
	dq	L2 + UP + 0x1000, 0x2000 | RWU, L2 + UP + 0x2000, 0x3000 | RWU, L2 + UP + 0x3010, 0x4000 | RWU
	entries L2 + UP + 0x4000, 0, 12
	dq	0
unpaged: dq	VMCB + UP + AT_NP, 0, VMCB + UP + AT_CR3, L2 + 0x1000
	dq	L2 + UP + 0x1000, L2 + 0x2000 | RWU, L2 + UP + 0x2000, L2 + 0x3000 | RWU, L2 + UP + 0x3010, L2 + 0x4000 | RWU
	dq	L2 + UP + 0x4000, L2 | RWU, L2 + UP + 0x4040, 0x60000 | RWU, L2 + UP + 0x4048, 0x60000 | RWU
	dq	L2 + UP + 0x4050, 0x61000 | RWU, L2 + UP + 0x4058, 0x62000 | RWU, 0
section .l2 progbits alloc exec write
l2_start:
	mov	rsi, l2_text
.print:
	lodsb
	out	0xe9, al		; not L1's to see: the port is the debugger's
	cmp	al, 10
	jne	.print
l2_touch:
	mov	rax, 0x1122334455667788
	mov	[PAGES + 0x8000], rax
	mov	rax, [PAGES + 0x9000]
	mov	[PAGES + 0xa000], rax
l2_call:
	vmmcall
l2_hole:
	mov	rbx, [PAGES + 0xb000]
	mov	rax, rbx
	vmmcall
l2_spin:
	cmp	byte [forever], 0
	jne	l2_spin
	hlt
forever: db	0
l2_text: db	"L2 runs", 10

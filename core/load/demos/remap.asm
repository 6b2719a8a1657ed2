; SPDX-License-Identifier: GPL-3.0-or-later
;
; remap: what becomes of a cached MMIO address when the guest maps something else there. At gva 0x600000 stands first the
; scratch device (gpa 0xd0000000, reads back what was written), later gpa 0xd0001000 (nobody there: all ones). CPL 3 writes
; to it, which fills the cache; the handler of its UD2 remaps and reads at CPL 0.
;
;   scenario 1  the page table entry changes and nothing is flushed. A stale hit at stale_invlpg and stale_cr3 is permitted;
;               after INVLPG (fresh_invlpg) and a CR3 load (fresh_cr3) it is not. At same_cr3 CR3 was loaded with the value
;               that it had: KVM may take that for no change and keep its cache
;   scenario 2  two processes map different devices at one address: after the CR3 switch (switched) no stale hit
;
; The values read stay in was_stale_invlpg … was_switched; each is told on the debug console.
bits 64
%include "core/load/demos/long.inc"

DEVICE	equ	0x600000
LEAF	equ	TABLES_GVA + 0x5000	; entry 0 maps DEVICE in process A
FIRST	equ	0xd0000007
SECOND	equ	0xd0001007
PATTERN	equ	0x600d1dea
; Process B has tables of its own at gpa 0x20000; ROOT_C is another root over the tables of process A.
ROOT_A	equ	0x10000
ROOT_B	equ	0x20000
ROOT_C	equ	0x24000
B_GVA	equ	TABLES_GVA + 0x10000

section .text
global start
start:
	set_gate 6, handler
	lidt	[idtr]
	mov	qword [B_GVA], ROOT_B + 0x1000 | 7
	mov	qword [B_GVA + 0x1000], ROOT_B + 0x2000 | 7
	mov	rax, [TABLES_GVA + 0x2000]	; low memory, code and data are common
	mov	[B_GVA + 0x2000], rax
	mov	rax, [TABLES_GVA + 0x2008]
	mov	[B_GVA + 0x2008], rax
	mov	qword [B_GVA + 0x2018], ROOT_B + 0x3000 | 7
	mov	eax, SECOND
	mov	[B_GVA + 0x3000], rax
	mov	qword [B_GVA + 0x4000], ROOT_A + 0x1000 | 7
	xor	r12d, r12d
	enter_user user

user:
	mov	eax, PATTERN
fill:
	mov	[DEVICE], eax
	ud2
	jmp	user

handler:
	add	qword [rsp], 2
	inc	r12d
	cmp	r12d, 2
	je	scenario_1_cr3
	ja	scenario_2

scenario_1_invlpg:
	mov	ebx, SECOND
	mov	[LEAF], rbx
stale_invlpg:
	mov	eax, [DEVICE]
	mov	[was_stale_invlpg], eax
	invlpg	[DEVICE]
fresh_invlpg:
	mov	ecx, [DEVICE]
	mov	[was_fresh_invlpg], ecx
	mov	rsi, text_invlpg
	call	tell_both
	call	first_again
	iretq

scenario_1_cr3:
	mov	ebx, SECOND
	mov	[LEAF], rbx
stale_cr3:
	mov	eax, [DEVICE]
	mov	[was_stale_cr3], eax
	mov	rbx, cr3
	mov	cr3, rbx
same_cr3:
	mov	ecx, [DEVICE]
	mov	[was_same_cr3], ecx
	mov	ebx, ROOT_C
	mov	cr3, rbx
	mov	ebx, ROOT_A
	mov	cr3, rbx
fresh_cr3:
	mov	ecx, [DEVICE]
	mov	[was_fresh_cr3], ecx
	mov	rsi, text_cr3
	call	tell_both
	call	first_again
	iretq

scenario_2:
	mov	ebx, ROOT_B
	mov	cr3, rbx
switched:
	mov	eax, [DEVICE]
	mov	[was_switched], eax
	mov	ebx, ROOT_A
	mov	cr3, rbx
	mov	rsi, text_switch
	call	print
	call	tell
done:
	hlt
	jmp	$ - 1

first_again:
	mov	ebx, FIRST
	mov	[LEAF], rbx
	invlpg	[DEVICE]
	ret

; Print what rsi says, then what eax (before the flush) and ecx (after it) were.
tell_both:
	call	print
	call	tell
	mov	rsi, text_then
	call	print
	mov	eax, ecx
tell:
	mov	rsi, text_new
	cmp	eax, PATTERN
	jne	print
	mov	rsi, text_old
print:
	mov	dx, 0xe9
.next:
	mov	bl, [rsi]
	test	bl, bl
	jz	.end
	xchg	eax, ebx
	out	dx, al
	xchg	eax, ebx
	inc	rsi
	jmp	.next
.end:
	ret

section .data
was_stale_invlpg: dd 0
was_fresh_invlpg: dd 0
was_stale_cr3:	dd 0
was_same_cr3:	dd 0
was_fresh_cr3:	dd 0
was_switched:	dd 0
text_invlpg: db "1. remapped: ", 0
text_cr3: db "1. remapped: ", 0
text_then: db "   flushed:  ", 0
text_switch: db "2. switched: ", 0
text_old: db "the old device answers", 10, 0
text_new: db "the new mapping holds", 10, 0
idt_data

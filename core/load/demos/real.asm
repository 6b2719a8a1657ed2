; SPDX-License-Identifier: GPL-3.0-or-later
;
; real: from 16-bit real mode over 32-bit protected mode to 64-bit long mode, saying so on the debug console at each stage.
section .real progbits alloc exec write

bits 16
global start
start:
	cli
	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, 0x7c00
real_mode:
	mov	si, text_real
	call	print16
	lgdt	[gdtr]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	jmp	dword CODE32:prot_mode

print16:
	lodsb
	test	al, al
	jz	.end
	out	0xe9, al
	jmp	print16
.end:
	ret

bits 32
prot_mode:
	mov	eax, DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	esp, 0x7c00
	mov	esi, text_prot
	call	print32
	mov	dword [ROOT], ROOT + 0x1003	; the first 2 MiB, where they are
	mov	dword [ROOT + 0x1000], ROOT + 0x2003
	mov	dword [ROOT + 0x2000], 0x83
	mov	eax, ROOT
	mov	cr3, eax
	mov	eax, cr4
	or	eax, 1 << 5			; PAE
	mov	cr4, eax
	mov	ecx, 0xc0000080			; EFER
	rdmsr
	or	eax, 1 << 8			; LME
	wrmsr
	mov	eax, cr0
	or	eax, 1 << 31
	mov	cr0, eax
	jmp	CODE64:long_mode

print32:
	lodsb
	test	al, al
	jz	.end
	out	0xe9, al
	jmp	print32
.end:
	ret

bits 64
long_mode:
	mov	eax, DATA
	mov	ss, eax
	mov	rsp, 0x7c00
	mov	rsi, text_long
.next:
	lodsb
	test	al, al
	jz	done
	out	0xe9, al
	jmp	.next
done:
	hlt
	jmp	$ - 1

CODE32	equ	0x08
DATA	equ	0x10
CODE64	equ	0x18
ROOT	equ	0x10000

	align	8
gdt:	dq	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:	dw	$ - gdt - 1
	dd	gdt

text_real: db "real mode", 10, 0
text_prot: db "protected mode", 10, 0
text_long: db "long mode", 10, 0

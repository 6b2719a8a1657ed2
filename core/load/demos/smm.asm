; SPDX-License-Identifier: GPL-3.0-or-later
;
; smm: an SMI handler in memory that only system management mode sees, laid over a device window (0x30000 to 0x3ffff, SMBASE).
; The guest writes to the window, which reaches the device; raises two SMIs through port 0xb2; each time the handler counts in
; SMRAM and leaves the count as its mark in ordinary memory. The guest reads the mark, and never the handler.
section .flat progbits alloc exec write

bits 32
global start
start:
	mov	dword [WINDOW], 0x0ddba11	; goes to the device
	mov	eax, [HANDLER]			; and this comes from it, not from SMRAM
	mov	[seen_outside], eax
	mov	esi, text_outside
	call	print
	mov	al, 1
raise:
	out	0xb2, al
	nop					; the SMI is over when this runs
	mov	eax, [mark]
	cmp	eax, 1
	jne	failed
	mov	al, 2
raise_again:
	out	0xb2, al
	nop
	mov	eax, [mark]
	cmp	eax, 2
	jne	failed
	mov	eax, [WINDOW]			; the device kept its value, SMRAM or no
	cmp	eax, 0x0ddba11
	jne	failed
	mov	esi, text_marked
	call	print
done:
	hlt
	jmp	$ - 1
failed:
	mov	esi, text_failed
	call	print
	jmp	done

print:
	mov	al, [esi]
	test	al, al
	jz	.end
	out	0xe9, al
	inc	esi
	jmp	print
.end:
	ret

WINDOW	equ	0x30000
HANDLER	equ	0x38000

	align	4
mark:	dd	0
seen_outside: dd 0
text_outside: db "outside SMM: the device answers", 10, 0
text_marked: db "the SMI handler left its mark twice", 10, 0
text_failed: db "the mark is missing", 10, 0

; Entered in a state like real mode, CS based at SMBASE, the others at 0.
section .smram progbits alloc exec write
bits 16
smi_handler:
	inc	dword [cs:0x8000 + smi_count - smi_handler]
	mov	eax, [cs:0x8000 + smi_count - smi_handler]
	mov	[mark], eax
smi_return:
	rsm
	align	4
smi_count: dd	0

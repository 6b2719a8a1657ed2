; SPDX-License-Identifier: GPL-3.0-or-later
;
; What exceptions of the guests of build/agree_stops go to, for 16-, 32- and 64-bit code: a block of HANDLERS_SIZE bytes each, of
; which one is copied to GPA_HANDLERS. Vector v's entry stands at v * 16, so that where a guest stands says which vector was
; taken.
;
; A page fault makes its page present, for users, writable, under both roots. #UD is a call for a service, told by the byte
; behind UD2 (the list is in stops.h). #DB, #BP and #OF return; all other faults go on two bytes further.

%define COUNT 0xf00
%define PT1 0x20000
%define PT2 0x21000
%define LIMIT 400

; In 16-bit code no vector brings an error code.
%macro entries 1
%assign v 0
%rep 32
	%if __BITS__ == 16 || !(v == 8 || (v >= 10 && v <= 14) || v == 17)
		push byte 0
	%endif
	push byte v
	jmp %1
	align 16
	%assign v v + 1
%endrep
%endmacro

bits 16
block16:
	entries common16
common16:
	push eax
	push bx
	push bp
	mov bp, sp
	; bp + 8: vector, 12: ip, 14: cs
	inc word [cs:COUNT]
	cmp word [cs:COUNT], LIMIT
	jae .end
	mov al, [bp + 8]
	cmp al, 6
	je .service
	cmp al, 1
	je .debug
	sub al, 2 ; NMI, #BP, #OF
	cmp al, 3
	jb .out
	add word [bp + 12], 2
	jmp .out
.debug:
	xor eax, eax
	mov dr6, eax
	jmp .out
.service:
	mov bx, [bp + 12]
	push ds
	mov ds, [bp + 14]
	mov al, [bx + 2]
	pop ds
	add word [bp + 12], 3
	cmp al, 3
	je .dr0
	cmp al, 4
	je .dr1
	cmp al, 2
	jbe .out
.end:
	hlt
.dr0:
	mov dr0, edi
	jmp .dr7
.dr1:
	mov dr1, edi
.dr7:
	mov dr7, esi
.out:
	pop bp
	pop bx
	pop eax
	add sp, 4
	iret
	times 0x400 - ($ - block16) nop

; SS is flat whatever DS is.
bits 32
block32:
	entries common32
common32:
	push eax
	push ebx
	; esp + 8: vector, 16: eip
	inc dword [ss:COUNT]
	cmp dword [ss:COUNT], LIMIT
	jae .end
	mov al, [esp + 8]
	cmp al, 14
	je .page
	cmp al, 6
	je .service
	cmp al, 1
	je .debug
	sub al, 2 ; NMI, #BP, #OF
	cmp al, 3
	jb .out
	add dword [esp + 16], 2
	jmp .out
.debug:
	xor eax, eax
	mov dr6, eax
	jmp .out
.page:
	mov eax, cr2
	mov ebx, eax
	shr eax, 12
	and eax, 0x1ff
	invlpg [ss:ebx]
	mov ebx, cr4
	test bl, 0x20
	jz .page4
	add eax, eax
.page4:
	or byte [ss:eax * 4 + PT1], 7
	or byte [ss:eax * 4 + PT2], 7
	jmp .out
.service:
	mov ebx, [esp + 16]
	mov al, [cs:ebx + 2]
	add dword [esp + 16], 3
	cmp al, 1
	je .cr3
	cmp al, 2
	je .entry
	cmp al, 3
	je .dr0
	cmp al, 4
	je .dr1
.end:
	hlt
.cr3:
	mov cr3, edi
	jmp .out
.entry:
	mov [ss:edi], esi
	invlpg [ss:edx]
	jmp .out
.dr0:
	mov dr0, edi
	jmp .dr7
.dr1:
	mov dr1, edi
.dr7:
	mov dr7, esi
.out:
	pop ebx
	pop eax
	add esp, 8
	iret
	times 0x400 - ($ - block32) nop

bits 64
block64:
	entries common64
common64:
	push rax
	push rbx
	inc dword [COUNT]
	cmp dword [COUNT], LIMIT
	jae .end
	mov al, [rsp + 16]
	cmp al, 14
	je .page
	cmp al, 6
	je .service
	cmp al, 1
	je .debug
	sub al, 2 ; NMI, #BP, #OF
	cmp al, 3
	jb .out
	add qword [rsp + 32], 2
	jmp .out
.debug:
	xor eax, eax
	mov dr6, rax
	jmp .out
.page:
	mov rax, cr2
	invlpg [rax]
	shr eax, 12
	and eax, 0x1ff
	or byte [rax * 8 + PT1], 7
	or byte [rax * 8 + PT2], 7
	jmp .out
.service:
	mov rbx, [rsp + 32]
	mov al, [rbx + 2]
	add qword [rsp + 32], 3
	cmp al, 1
	je .cr3
	cmp al, 2
	je .entry
	cmp al, 3
	je .dr0
	cmp al, 4
	je .dr1
.end:
	hlt
.cr3:
	mov cr3, rdi
	jmp .out
.entry:
	mov [rdi], esi
	invlpg [rdx]
	jmp .out
.dr0:
	mov dr0, rdi
	jmp .dr7
.dr1:
	mov dr1, rdi
.dr7:
	mov dr7, rsi
.out:
	pop rbx
	pop rax
	add rsp, 16
	iretq
	times 0x400 - ($ - block64) nop

# Memory that the guest may read and not write: a READONLY slot, what becomes of its reads and writes, and its flag turned off
# and on under a guest. Source: the READONLY memory slot of the first discussion.
#
#   kvmscope -x scripts/readonly-rom.tcl
source [file join [file dirname [info script]] lib story.tcl]

story::tell readonly_rom "ROM in a READONLY slot" {
	demo:tour runs at CPL 3 and writes, then reads, gva 0x280000, which its tables map writable to gfn 0x80. Gfn 0x80 lies in
	slot 1, and slot 1 is READONLY. A ROM is like that: the guest's tables may say what they like.
} {
	dbg::load demo:tour

	proc slot_of {id} { foreach s [dbg::info slots] { if {[dict get $s id] == $id} { return $s } } }
	proc rom_word {} { format 0x%08x [field [dbg::xp /wx 0x80000] values 0] }
	proc rights {gva} { set s [leaf $gva]; list [dict get $s writable] [dict get $s host_writable] }
	# Run to the end of the tour's story, its page fault at 0x300000.
	proc whole_tour {} { expect "the guest ends" [dict get [dbg::run] reason] exception }

	step {The slot as it is, and bytes that only the debugger can put there.}
	expect "slot 1's flags" [dict get [slot_of 1] flags] has readonly
	dbg::mem write 0x80000 efbeadde -phys
	expect "the word at gpa 0x80000" [rom_word] 0xdeadbeef
	note {The debugger writes through a mapping of its own, which knows no READONLY.}

	step {The guest's write: stop where it leaves the guest.}
	dbg::break readonly
	dbg::run
	dbg::catch mmio
	set stop [dbg::c]
	expect "stop" [dict get $stop reason] mmio
	expect "guest physical address" [hex [dict get $stop gpa]] 0x80000
	expect "a write" [dict get $stop write] 1
	expect "the slot that it is in" [dict get $stop slot] 1
	shadowed "the MMIO cache" { expect "the MMIO cache's gfn" [hex [field [dbg::info mmio] 0 gfn]] != 0x80 }
	note {It leaves as an MMIO exit and yet it belongs to a slot; and it is never remembered as MMIO. If it were, the next
	read would be sent to user space too, and reads of a ROM are to be memory.}

	step {The read behind it.}
	dbg::delete
	expect "the guest ends" [dict get [dbg::c] reason] exception
	expect "the word, after the guest's write" [rom_word] 0xdeadbeef
	shadowed "the read's spte" {
		set spte [leaf 0x280000]
		expect "the spte of gva 0x280000" [hex [dict get $spte spte]] != 0
		expect "  writable" [dict get $spte writable] 0
		expect "  host-writable" [dict get $spte host_writable] 0
		note {The read mapped the page. Host-writable is clear: this is not a page that waits for its first write,
		nobody may make it writable.}
	}
	expect "what a write would come to" [dict get [dbg::walk 0x280000 w -user] verdict] readonly
	expect "its entry in an I/O list" [field [dbg::xlate 0x280000 4 w -user] io 0 kind] rom
	expect "the same page's read" [field [dbg::xlate 0x280000 4 r -user] io 0 kind] ram

	step {READONLY off.}
	set generation [dict get [slot_of 1] generation]
	set after [dbg::slot flags 1 -readonly]
	foreach s [dict get $after steps] { note $s }
	expect "ioctls or steps that it took, for each address space" \
		[expr {[llength [dict get $after steps]] / [story::spaces]}] 2
	expect "generation" "$generation to [dict get $after generation]" != "$generation to $generation"
	shadowed "sptes of gfn 0x80" { expect "sptes of gfn 0x80" [llength [field [dbg::info rmap 0x80] 0 sptes]] 0 }
	expect "the word: a flip keeps the bytes" [rom_word] 0xdeadbeef
	note {The kernel refuses to change the flag of a slot that is there, so the slot goes and comes back over the same
	bytes. Its deletion flushed every spte, which is why the flip takes effect at once.}
	whole_tour
	expect "the word, after the guest's write" [rom_word] 0x55667788
	shadowed "its spte" { expect "  its spte's writable, host-writable" [rights 0x280000] {1 1} }

	step {And on again.}
	dbg::slot flags 1 +readonly
	expect "the word" [rom_word] 0x55667788
	dbg::mem write 0x80000 efbeadde -phys
	expect "the debugger puts the old one back" [rom_word] 0xdeadbeef
	whole_tour
	expect "the word, after the guest's write" [rom_word] 0xdeadbeef
	shadowed "its spte" { expect "  its spte's writable, host-writable" [rights 0x280000] {0 0} }

	step {A ROM out of a file.}
	set f [file tempfile file]
	fconfigure $f -translation binary
	puts -nonewline $f "kvmscope's ROM[string repeat \0 4082]"
	close $f
	try {
		set rom [dbg::slot add 5 0xf0000 0x1000 -readonly -file $file]
		expect "slot 5's flags" [dict get $rom flags] has readonly
		expect "its first bytes" [binary format H* [dict get [dbg::mem read 0xf0000 14 -phys] data]] "kvmscope's ROM"
		expect "a write's entry in an I/O list" [field [dbg::xlate 0xf0000 4 w -phys] io 0 kind] rom
		refuse "the debugger's own write" "*0xf0000*" "mem write 0xf0000 00 -phys"
		dbg::slot del 5
	} finally { file delete $file }
	note {A file is mapped for reading only. Here not even the debugger writes.}
}

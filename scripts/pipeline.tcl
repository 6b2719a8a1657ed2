# One access on its way: (address, length, access) to at most two physical pieces or a fault, the pieces to what answers them, and
# only then bytes. Source: the translation pipeline of the first discussion.
#
#   kvmscope -x scripts/pipeline.tcl
source [file join [file dirname [info script]] lib story.tcl]

story::tell pipeline "An access goes through the pipeline" {
	Stage 1 asks the guest's tables, stage 2 the memory slots, stage 3 moves bytes. Nothing of stage 3 happens before the whole
	of stages 1 and 2 went well. demo:tour stands at its entry: looking needs no running guest.
} {
	dbg::load demo:tour

	proc pieces {x} { lmap t [dict get $x tlb] { format "0x%x+%d" [dict get $t gpa] [dict get $t len] } }
	proc answers {x} {
		lmap i [dict get $x io] {
			set slot [dict get $i slot]
			format "%s+%d" [join [list [dict get $i kind] {*}$slot]] [dict get $i len]
		}
	}
	proc bytes {gpa n} { dict get [dbg::mem read $gpa $n -phys] data }

	step {What can answer: memory, READONLY memory, a device, nobody.}
	foreach {label access kind} {
		"gva 0x240000, write"              {0x240000 4 w -user} ram
		"gva 0x280000, a read of ROM"      {0x280000 4 r -user} ram
		"gva 0x280000, a write to ROM"     {0x280000 4 w -user} rom
		"gva 0x260000, the scratch device" {0x260000 4 w -user} device
		"gpa 0xd0001000, nobody"           {0xd0001000 4 r -phys} mmio
	} {
		set x [dbg::xlate {*}$access]
		expect $label "$kind at [pieces $x]" [expr {[llength [dict get $x io]] == 1 ? "[field $x io 0 kind] at [pieces $x]" : ""}]
	}
	note {ROM answers reads as memory does. Its writes, the device's and nobody's accesses leave the guest.}

	step {Two pages, two answers: 8 bytes at gpa 0x7fffc, the end of slot 0's RAM and the start of slot 1's ROM.}
	set x [dbg::xlate 0x7fffc 8 w -phys]
	expect "pieces" [pieces $x] {0x7fffc+4 0x80000+4}
	expect "a write is answered by" [answers $x] {{ram 0+4} {rom 1+4}}
	expect "a read is answered by" [answers [dbg::xlate 0x7fffc 8 r -phys]] {{ram 0+4} {ram 1+4}}
	refuse "no bytes" "*length*" "xlate 0x240000 0 r -user"
	refuse "more than two pages" "*two pages*" "xlate 0x240ffc 8192 r -user"

	step {Where nobody may sleep or leave for user space: -atomic.}
	expect "RAM" [answers [dbg::xlate 0x240000 4 w -user -atomic]] {{ram 0+4}}
	refuse "a write to ROM" "*readonly slot 1*" "xlate 0x280000 4 w -user -atomic"
	refuse "a device" "*no slot*" "xlate 0x260000 4 r -user -atomic"

	step {A write of 8 bytes at gva 0x240ffc: page 0x240 is mapped, page 0x241 is not.}
	set x [dbg::xlate 0x240ffc 8 w -user]
	expect "fault: vector, error code" [list [field $x fault vector] [hex [field $x fault error_code]]] {14 0x6}
	expect "  at" [hex [field $x fault address]] 0x241000
	expect "pieces" [pieces $x] {}
	expect "answers" [answers $x] {}
	note {The address is the second page's, and the first page's piece is not handed on: no fault, or nothing.}

	step {The same by memop, which really writes.}
	dbg::mem write 0x40ffc aaaaaaaa -phys
	set r [dbg::memop write 0x240ffc 1122334455667788]
	expect "status" [dict get $r status] 14
	expect "the 4 bytes at the end of page 1" [bytes 0x40ffc 4] aaaaaaaa

	step {And by the guest at CPL 3: its own MOV, with rbx moved to 0x240ffc.}
	dbg::tbreak *write_alias+5
	dbg::run
	dbg::reg rbx 0x240ffc
	set stop [dbg::si]
	expect "stop" "[dict get $stop reason] [dict get $stop vector] at [hex [dict get $stop cr2]]" "exception 14 at 0x241000"
	expect "rip stays on the MOV" [hex [dict get $stop rip]] [hex [dbg::p write_alias+5]]
	expect "the end of page 1" [bytes 0x40ffc 4] aaaaaaaa
	note {A processor checks both pages first, and so does the soft one.}

	step {And at CPL 0, which this kind of host may have to emulate.}
	dbg::load demo:rmap
	dbg::mem write 0x15000 0700040000000000 -phys
	dbg::mem write 0x40ffc aaaaaaaa -phys
	dbg::mem write start 488903
	dbg::reg rax 0x8877665544332211
	dbg::reg rbx 0x400ffc
	expect "the instruction" [field [dbg::disas start 1] 0 insn] {mov qword ptr [rbx], rax}
	set stop [dbg::si]
	expect "stop" "[dict get $stop reason] [dict get $stop vector] at [hex [dict get $stop cr2]]" "exception 14 at 0x401000"
	expect "the end of page 1" [bytes 0x40ffc 4] in [expr {[dict get [dbg::vm] backend] eq "soft" ? "aaaaaaaa" : "aaaaaaaa 11223344"}]
	if {[bytes 0x40ffc 4] eq "aaaaaaaa"} {
		note {Nothing was performed.}
	} else {
		note {KVM's emulator wrote page 1 and then met the fault on page 2: half a store, which no processor makes. The
		pipeline was proposed to end exactly that.}
	}
}

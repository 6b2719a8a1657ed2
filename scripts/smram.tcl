# Memory that only system management mode sees, laid over a device that everybody else sees there. Source: the SMRAM slot flag,
# and the objection to it: one address, two things.
#
#   kvmscope -x scripts/smram.tcl
source [file join [file dirname [info script]] lib story.tcl]

story::tell smram "SMRAM: one address, two things" {
	demo:smm has slot 2, SMRAM, at 0x30000 to 0x3ffff, and a device at the same place. The guest uses the device, raises SMIs
	through port 0xb2, and its handler, which lies in SMRAM, counts them and leaves a mark in ordinary memory.
} {
	dbg::load demo:smm

	proc seen {gpa} {
		set i [field [dbg::xlate $gpa 4 r -phys] io 0]
		join [list [dict get $i kind] {*}[dict get $i slot]]
	}
	proc smram {} { foreach s [dbg::info slots] { if {[dict get $s id] == 2} { return $s } } }
	proc dirty {id args} { lmap gfn [dict get [dbg::slot dirty $id {*}$args] dirty] { hex $gfn } }
	proc mark {} { field [dbg::xp /wx mark] values 0 }
	proc saved {key} { hex [dict get [dbg::info smm] saved $key] }
	proc outside {} {
		expect "in SMM" [dict get [dbg::info smm] smm] 0
		expect "at gpa 0x30000 and 0x38000" "[seen 0x30000], [seen 0x38000]" "device, device"
	}

	step {Outside SMM the slot is hidden, though it is there.}
	expect "slot 2 is visible" [dict get [smram] visible] smm
	expect "  its flags" [dict get [smram] flags] has smram
	outside
	refuse "its bytes" "*0x38000*" "xp /wx 0x38000"
	note {An access there finds a slot and does not get it: it is the device's.}

	step {Three visibilities: smm, non-smm, both. Slots conflict only where one side sees the two of them.}
	refuse "another one at 0x30000, seen by both" "*overlaps slot 2*" "slot add 5 0x30000 0x1000 -visible both"
	refuse "another one, seen in SMM" "*overlaps slot 2*" "slot add 5 0x30000 0x1000 -visible smm"
	expect "one for outside SMM" [dict get [dbg::slot add 5 0x30000 0x1000 -visible non-smm] visible] non-smm
	expect "now at gpa 0x30000 and 0x38000" "[seen 0x30000], [seen 0x38000]" "ram 5, device"
	dbg::slot del 5
	dbg::slot flags 2 -visible both
	expect "slot 2 seen by both: at gpa 0x38000" [seen 0x38000] "ram 2"
	expect "the handler's first bytes" [dict get [dbg::mem read 0x38000 4 -phys] data] 2e66ff06
	dbg::slot flags 2 -visible smm
	outside

	step {The guest raises an SMI: stop at the handler's first instruction.}
	dbg::slot flags 0 +log-dirty
	dbg::slot flags 2 +log-dirty
	dbg::catch smi
	set stop [dbg::run]
	expect "stop" [dict get $stop reason] smi
	expect "in SMM" [dict get [dbg::info smm] smm] 1
	expect "at gpa 0x30000 and 0x38000" "[seen 0x30000], [seen 0x38000]" "ram 2, ram 2"
	expect "the instruction" [field [dbg::disas 0x38000 1 -bits 16 -phys] 0 insn] {inc dword ptr cs:[0x8014]}
	note {The same address, and now it is memory.}

	step {What the processor was doing lies in the state-save area, in SMRAM.}
	expect "SMBASE" [saved smbase] 0x30000
	expect "revision" [saved revision] in {0x30064 0x20064}
	expect "rip: behind the OUT" [saved rip] [hex [expr {[dbg::p raise] + 2}]]
	expect "cr0" [hex [expr {[saved cr0] & 1}]] 0x1
	expect "who enters and leaves SMM" [lindex [dict get [dbg::info smm] by] 0] in {cpu debugger kvm}
	if {[regexp {\((.*)\)$} [dict get [dbg::info smm] by] -> why]} { note "$why." }

	step {Dirty logs: slot 0 is seen from both sides, slot 2 from inside.}
	set before [dirty 0 -clear]
	expect "slot 0, written so far, outside SMM" $before has 0xc
	expect "slot 2" [dirty 2] in {{} 0x3f}
	dbg::tbreak smi_return
	dbg::c
	expect "slot 0, written inside SMM" [dirty 0] 0x1
	expect "slot 2" [dirty 2] has 0x38
	expect "the mark" [mark] 1
	note {Both kinds of writes to slot 0 come out of one log; the handler's count is in slot 2's. Page 0x3f is there where
		the CPU has saved its state itself.}

	step {RSM.}
	expect "stop" [dict get [dbg::c] reason] rsm
	expect "rip" [hex [dbg::reg rip]] [hex [expr {[dbg::p raise] + 2}]]
	outside
	expect "slot 2's dirty pages stay known" [dirty 2] has 0x38

	step {Once more, and to the end.}
	expect "stop" [dict get [dbg::c] reason] smi
	expect "stop" [dict get [dbg::c] reason] rsm
	expect "the mark" [mark] 2
	dbg::si 5
	expect "the guest reads gpa 0x30000" [hex [dbg::reg rax]] 0xddba11
	note {The device kept what the guest wrote to it at first: SMRAM lay over it and never touched it.}
	expect "the guest ends" [dict get [dbg::c] reason] hlt
}

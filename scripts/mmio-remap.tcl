# A device page that the guest maps somewhere else: what the vCPU's MMIO cache knows then, who may still be answered by the old
# device, and what ends that. Source: the MMIO information cache, with the two scenarios of its discussion.
#
#   kvmscope -x scripts/mmio-remap.tcl
source [file join [file dirname [info script]] lib story.tcl]

story::tell mmio_remap "The MMIO cache, and a device page that moves" {
	demo:remap maps gva 0x600000 to a device (gfn 0xd0000), which remembers the pattern 0x600d1dea, and later to gfn 0xd0001,
	where nobody answers: all ones. CPL 3 fills the cache, a handler at CPL 0 remaps and reads. What the guest itself tells
	on its debug console comes between: the lines about who answers.
} {
	dbg::load demo:remap
	variable old 0x600d1dea new 0xffffffff

	proc at {symbol} {
		dbg::tbreak $symbol
		set stop [expr {[dict get [dbg::vm] has_run] ? [dbg::c] : [dbg::run]}]
		expect "stands at" [field [dbg::disas [dict get $stop rip] 1] 0 symbol] $symbol
	}
	proc cache {} {
		set m [lindex [dbg::info mmio] 0]
		if {![dict get $m valid]} { return "empty" }
		return "gva [hex [dict get $m gva]], gfn [hex [dict get $m gfn]][expr {[dict get $m stale] ? ", stale" : ""}]"
	}
	proc cached {want {label cache}} { shadowed $label { expect $label [cache] in $want } }
	proc maps {} { format "gfn 0x%x" [expr {[dict get [dbg::walk 0x600000 r] gpa] >> 12}] }
	proc was {name} { format 0x%x [field [dbg::x /wx was_$name] values 0] }
	# What the instruction behind a stop reads.
	proc read_here {register} { dbg::si; format 0x%x [expr {[dbg::reg $register] & 0xffffffff}] }

	# A stale hit is permitted and not owed: where CPL 0 runs natively its fault walks, and finds the new mapping.
	proc stale {label value} {
		variable old
		variable new
		if {$value eq $new} { return [cannot "$label by the old mapping" "This host's CPL 0 faults walk the tables again."] }
		expect $label $value $old
		note {The old device answered. The architecture permits that: without a flush a translation may be an old one,
		in a TLB as in this cache.}
	}

	step {Before the guest runs, the cache is empty; CPL 3's access fills it.}
	cached empty
	at handler
	expect "guest tables map gva 0x600000 to" [maps] "gfn 0xd0000"
	cached {"gva 0x600000, gfn 0xd0000"}
	shadowed "  access, generation" {
		set m [lindex [dbg::info mmio] 0]
		expect "  access" [dict get $m access] {write user}
		expect "  its generation is the slots'" [dict get $m generation] [dict get $m current_generation]
	}
	note {No slot covers the address, so the fault's walk is worth remembering: the next access needs none.}

	step {Scenario 1: the handler writes the page table entry and flushes nothing.}
	at stale_invlpg
	expect "guest tables map it to" [maps] "gfn 0xd0001"
	cached {"gva 0x600000, gfn 0xd0000, stale"}
	if {[blind] eq ""} { draw info mmio }
	stale "the handler reads" [read_here eax]

	step {INVLPG of that address.}
	at fresh_invlpg
	cached empty
	expect "the handler reads" [read_here ecx] $new
	note {Nobody answers at gfn 0xd0001: that is the new mapping.}

	step {The same again, flushed by loading CR3 with the value that it has.}
	at stale_cr3
	cached {"gva 0x600000, gfn 0xd0000, stale"}
	stale "the handler reads" [read_here eax]
	at same_cr3
	cached {empty "gva 0x600000, gfn 0xd0000, stale"} "cache, right behind the MOV"
	if {[blind] eq "" && [cache] ne "empty"} {
		note {The kernel only took a note to flush (a request), and honours it when the vCPU enters the guest: now.}
	}
	expect "the handler reads" [read_here ecx] $new

	step {And by loading another value and the first one again.}
	at fresh_cr3
	cached empty
	dbg::tbreak scenario_2
	dbg::c
	expect "the guest's own record, another value" [was fresh_cr3] $new

	step {Scenario 2: two processes have different devices at one address. CR3 goes from one to the other.}
	expect "process A's tables map it to" [maps] "gfn 0xd0000"
	cached {"gva 0x600000, gfn 0xd0000"}
	at switched
	expect "process B's tables map it to" [maps] "gfn 0xd0001"
	expect "B reads" [read_here eax] $new
	cached {empty "gva 0x600000, gfn 0xd0001"} "and the cache"
	note {No stale hit across a switch: loading CR3 clears the cache, whatever else it keeps.}

	step {Once more without a stop in between, as a guest runs that nobody looks at.}
	dbg::delete
	expect "the guest ends" [dict get [dbg::run] reason] hlt
	foreach name {stale_invlpg stale_cr3} { expect "was_$name" [was $name] in [list $old $new] }
	foreach name {fresh_invlpg fresh_cr3 switched} { expect "was_$name" [was $name] $new }
	expect "was_same_cr3" [was same_cr3] in [list $old $new]
	if {[was same_cr3] eq $old} {
		note {The same value in CR3: here the emulator went on with its next instruction before the request was honoured,
		so the old device answered once more. At the breakpoint above the vCPU had left, and entered again.}
	}
}

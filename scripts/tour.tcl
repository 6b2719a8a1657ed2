# The tour that `make run` gives: demo:tour on whichever backend this host has. Each step says what is about to happen, shows
# the line that a person would type and what it prints, and says what there is to see in it. At a terminal the prompt follows.

namespace eval tour {
	variable color -color
	if {[info exists ::env(NO_COLOR)] && $::env(NO_COLOR) ne ""} { set color {} }

	# Words of the tour's own, filled to 78 columns.
	proc say {text {lead ""}} {
		set line $lead
		foreach word [regexp -all -inline {\S+} $text] {
			if {[string length $line] + [string length $word] > 77} {
				puts $line
				set line $lead
			}
			append line [expr {$line eq $lead ? "" : " "}] $word
		}
		puts $line
	}

	proc step {n title} { puts "\n---- $n. $title [string repeat - [expr {70 - [string length $title]}]]" }

	# Type a line: show it, then what it draws, then what it means. What this host cannot tell is one line instead.
	proc type {line {meaning ""}} {
		variable color
		puts "(kvmscope) $line"
		if {[catch {dbg::draw {*}$color {*}$line} text]} {
			puts "  not on this host: $text"
		} else {
			puts $text
			if {$meaning ne ""} { say $meaning "# " }
		}
	}
}

tour::say "A small guest at CPL 3 on the [dict get [vm] backend] backend. It uses one page by two addresses, a device, READONLY
memory, and last a page that is not there. Where does each address really go?"
puts ""
tour::type {info slots} \
"Slot 0 is its RAM, slot 1 is READONLY; hva is where their bytes are in this process."

# Whose tables map the guest's memory decides what there is to see: shadow tables by gva, or those of EPT or NPT by gpa.
set tour::by_gpa 0
foreach fact [dbg::info kvm] {
	if {[dict get $fact what] eq "paging"} { set tour::by_gpa [expr {[dict get $fact value] ne "shadow"}] }
}
if {[dict get [vm] backend] eq "soft"} { set tour::by_gpa 0 }

if {$tour::by_gpa} {
	tour::step 1 "One page at two addresses: one entry by gpa"
	tour::type {tb spin}
	tour::type {run}
	tour::type {info sptes 0x40000 0x40fff} \
"Gva 0x240000 and 0x250000 are both gfn 0x40. The processor walks the guest's own tables to that gpa, then these
(EPT or NPT) to the host page: one entry, however many addresses the guest gives the page."
	tour::type {info tdp} \
"The root of these tables, who runs on it, and what they hold. Shadow paging would have an entry for each of the two
addresses, and a reverse map that lists both: -b soft shows that, and so does this host with npt=0 or ept=0."
} else {
	tour::step 1 "One page at two addresses: the rmap chain"
	tour::type {tb spin}
	tour::type {run}
	tour::type {info rmap 0x40} \
"Gva 0x240000 and 0x250000 are both gfn 0x40. For each guest page the host keeps the list of shadow page table entries
(sptes) that map it: one stands in the head itself, more make a descriptor, told by bit 0 of the head. EPT and NPT need
none: their tables are by gpa, with one entry for each page (info tdp)."
}

tour::step 2 "A device: the MMIO cache"
if {$tour::by_gpa} {
	tour::type {info mmio} \
"Gpa 0xd0000000 is in no slot: the access left to user space and the vCPU remembered its gfn. Where the host makes MMIO
sptes, one says so to the next access, as long as no slot changes (the generation)."
} else {
	tour::type {info mmio} \
"Gpa 0xd0000000 is in no slot: the access left to user space and the vCPU remembered that. The next one to this page skips
the walk, as long as no slot changes (the generation)."
}

tour::step 3 "Every layer of one address"
tour::type {walk 0x280000 w -user} \
"The guest's tables allow the write, its slot does not. Nothing was touched by looking: no accessed bit, no spte."

tour::step 4 "Flip READONLY under the standing guest, let it go on"
tour::type {slot flags 1 -readonly}
tour::type {c}
tour::type [expr {$tour::by_gpa ? "info sptes 0x80000 0x80fff" : "info rmap 0x80"}]
tour::type {xp/2wx 0x80000} \
"With READONLY the write would have left as an MMIO exit. Now gfn 0x80 has a writable spte, and the bytes are memory."

puts "\nYour turn:   help    walk 0x300000 r -user    shadow tree    snap    load demo:rmap    quit"
namespace delete tour

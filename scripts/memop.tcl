# Guest memory read and written from outside, as the guest would see it: by its tables, under the lock that its walks take, with
# its exceptions and its storage keys. Source: the MEMOP ioctl's discussion.
#
#   kvmscope -x scripts/memop.tcl
source [file join [file dirname [info script]] lib story.tcl]

story::tell memop "MEMOP: guest memory by the guest's own rules" {
	demo:tour stands before its first instruction. It has gva 0x240000 and 0x250000 mapped to one page, gva 0x300000 not mapped
	at all, and 0x280000 in READONLY memory.
} {
	dbg::load demo:tour

	proc bytes {gpa n} { dict get [dbg::mem read $gpa $n -phys] data }
	proc outcome {r} {
		if {[dict get $r status] == 0} { return 0 }
		return "[dict get $r status], error code [hex [dict get $r error_code]], at [hex [dict get $r address]]"
	}

	step {Read and write by virtual and by physical address.}
	expect "write gva 0x240000" [outcome [dbg::memop write 0x240000 0102030405060708]] 0
	expect "read gva 0x250000, the other alias" [dict get [dbg::memop read 0x250000 8] data] 0102030405060708
	expect "read gpa 0x40000" [dict get [dbg::memop read 0x40000 8 -phys] data] 0102030405060708

	step {What the guest would fault on is a status, not an error.}
	expect "read gva 0x300000" [outcome [dbg::memop read 0x300000 8]] "14, error code 0x4, at 0x300000"
	expect "write there" [outcome [dbg::memop write 0x300000 00]] "14, error code 0x6, at 0x300000"
	dbg::mem write 0x40ffc aaaaaaaa -phys
	expect "write across into an unmapped page" [outcome [dbg::memop write 0x240ffc 1122334455667788]] \
		"14, error code 0x6, at 0x241000"
	expect "  bytes that it wrote before" [bytes 0x40ffc 4] aaaaaaaa
	refuse "a device, which would leave for user space" "*no slot*" "memop read 0x260000 4"
	refuse "a write to READONLY memory, too" "*readonly*" "memop write 0x280000 00"

	step {-check asks and moves nothing.}
	expect "would a write work" [outcome [dbg::memop write 0x240000 ffffffff -check]] 0
	expect "bytes after it" [bytes 0x40000 4] 01020304
	expect "would a read of 0x300000" [outcome [dbg::memop read 0x300000 1 -check]] "14, error code 0x4, at 0x300000"

	step {The order of complaints: each request below breaks every rule that follows, too.}
	refuse "size 0, key 99" "*size is 0*" "memop read 0x300000 0 -key 99"
	refuse "70000 bytes, key 99" "*too many*" "memop read 0x300000 70000 -key 99"
	refuse "key 99" "*storage key 99*" "memop read 0x300000 8 -key 99"
	expect "then the guest's fault" [outcome [dbg::memop read 0x300000 8 -key 9]] "14, error code 0x4, at 0x300000"

	step {Storage keys: gpa 0x40000 gets key 7, and later fetch protection.}
	dbg::memop key 0x40000 7
	expect "read with key 5" [outcome [dbg::memop read 0x240000 4 -key 5]] 0
	expect "write with key 5" [outcome [dbg::memop write 0x240000 00 -key 5]] "14, error code 0x27, at 0x240000"
	expect "write with key 7, and with key 0" \
		"[outcome [dbg::memop write 0x240000 01 -key 7]] [outcome [dbg::memop write 0x240000 01 -key 0]]" "0 0"
	dbg::memop key 0x40000 7 -fetch
	expect "now a read with key 5" [outcome [dbg::memop read 0x240000 4 -key 5]] "14, error code 0x25, at 0x240000"
	note {Keys are per frame: either alias is refused. Key 0 opens everything. Bit 5 of the error code says a key refused.}

	step {-inject: the guest gets the exception, too.}
	expect "status" [outcome [dbg::memop read 0x300000 8 -inject]] "14, error code 0x4, at 0x300000"
	set rip [dbg::reg rip]
	set stop [dbg::run]
	expect "run" "[dict get $stop reason] [dict get $stop vector], cr2 [hex [dict get $stop cr2]]" "exception 14, cr2 0x300000"
	expect "the guest has executed nothing" [hex [dict get $stop rip]] [hex $rip]

	step {Another vCPU changes the tables. In demo:threads vCPU 1 moves gva 0x600000 between two frames.}
	dbg::load demo:threads
	dbg::break change
	set torn 0
	set frames {}
	for {set i 0} {$i < 10} {incr i} {
		dbg::[expr {$i ? "c" : "run"}]
		dbg::vcpu 0
		foreach when {before after} {
			if {$when eq "after"} { dbg::vcpu 1; dbg::si; dbg::vcpu 0 }
			set data [dict get [dbg::memop read 0x600000 8] data]
			set frame [expr {[dict get [dbg::walk 0x600000 r] gpa] >> 12}]
			lappend frames [hex $frame]
			incr torn [expr {$data ne [dict get {64 aaaaaaaaaaaaaaaa 65 bbbbbbbbbbbbbbbb} $frame]}]
		}
	}
	expect "reads around 10 changes, one instruction apart" [llength $frames] 20
	expect "frames that they came from" [lrange $frames 0 3] {0x40 0x41 0x41 0x40}
	expect "reads that do not fit the tables" $torn 0
	note {Walk and copy are one: the lock is held over both. On KVM every vCPU is out of guest mode meanwhile.}
	dbg::delete
	expect "the guests end" [dict get [dbg::c] reason] hlt
	expect "changes that vCPU 0 has seen" [field [dbg::x /gx changes] values 0] 201
	expect "values from nowhere" [field [dbg::x /gx strange] values 0] 0
}

package store

/*
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

// Badger writes its tables through sparse mappings. On a full file system such a write is a SIGBUS, which kills a Go
// process and cannot be recovered from. Watermarks and preallocation make that rare; this handler makes it harmless: it
// punches a slice out of the ballast and returns, so that the faulting instruction runs again and now finds a block. When
// the ballast is used up it waits a little for space (somebody deletes something) before it lets Go's own handler end
// the process. Everything called here is async-signal-safe.
#define SLOTS 32
#define SLICE (1 << 20)
#define MAX_WAITS 500 // of 10 ms

static struct { volatile int used; volatile int fd; volatile long long next, end; } slots[SLOTS];
static volatile long rescued, waits;
static struct sigaction before;

static void on_bus(int sig, siginfo_t *si, void *uc) {
	int saved = errno, armed = 0, freed = 0, i;
	if (si->si_code == BUS_ADRERR) {
		for (i = 0; i < SLOTS; i++) {
			if (!slots[i].used) continue;
			armed = 1;
			long long at = __sync_fetch_and_add(&slots[i].next, SLICE);
			if (at + SLICE <= slots[i].end &&
			    fallocate(slots[i].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, SLICE) == 0) freed = 1;
		}
		if (armed && !freed && __sync_fetch_and_add(&waits, 1) < MAX_WAITS) {
			struct timespec t = {0, 10 * 1000 * 1000};
			nanosleep(&t, 0);
			freed = 1;
		}
	}
	errno = saved;
	if (freed) {
		__sync_fetch_and_add(&rescued, 1);
		return;
	}
	if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(sig, si, uc);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) before.sa_handler(sig);
	else { signal(sig, SIG_DFL); } // returns into the same fault, which now ends the process
}

// SA_ONSTACK: Go runs signal handlers on a stack of its own (os/signal, "Go programs that use cgo").
static int install(void) {
	struct sigaction a = {0};
	a.sa_sigaction = on_bus;
	a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigfillset(&a.sa_mask);
	return sigaction(SIGBUS, &a, &before);
}

static int arm_slot(int fd, long long next, long long end) {
	int i;
	for (i = 0; i < SLOTS; i++) {
		if (slots[i].used) continue;
		slots[i].fd = fd; slots[i].next = next; slots[i].end = end;
		__sync_synchronize();
		slots[i].used = 1;
		return i;
	}
	return -1;
}
static void disarm_slot(int i) { slots[i].used = 0; __sync_synchronize(); }
static long rescue_count(void) { return __sync_fetch_and_add(&rescued, 0); }
static void reset_waits(void) { __sync_lock_test_and_set(&waits, 0); }
*/
import "C"

import "sync"

const sliceSize = 1 << 20 // SLICE above

var (
	rescueMu   sync.Mutex
	rescueOnce sync.Once
)

// arm puts the range [from, to) of an open ballast file at the disposal of page faults. It returns a slot for disarm.
func arm(fd int, from, to int64) int {
	rescueMu.Lock()
	defer rescueMu.Unlock()
	rescueOnce.Do(func() { C.install() })
	return int(C.arm_slot(C.int(fd), C.longlong(from&^(sliceSize-1)), C.longlong(to)))
}

// disarm must come before the file is closed.
func disarm(slot int) {
	if slot < 0 {
		return
	}
	rescueMu.Lock()
	defer rescueMu.Unlock()
	C.disarm_slot(C.int(slot))
}

// rescues counts page faults served since the process began.
func rescues() int64 { return int64(C.rescue_count()) }

// resetRescue allows the full wait again, once the disk is better.
func resetRescue() { C.reset_waits() }

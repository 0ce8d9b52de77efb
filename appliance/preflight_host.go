package appliance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"deskbridge/media"
)

// checkOpus proves that the library that was found at run time works: one frame through encoder and decoder.
func checkOpus(context.Context) Finding {
	const fix = "install libopus0 (apt-get install libopus0)"
	enc, err := media.NewEncoder(media.Opus, 16000)
	if err != nil {
		return problem(fix, "no encoder: %v", err)
	}
	dec, err := media.NewDecoder(media.Opus, 8000)
	if err != nil {
		return problem(fix, "no decoder: %v", err)
	}
	packet := make([]byte, 1275)                          // RFC 6716 §3.2: the longest frame
	n, err := enc.Encode(make([]int16, 16000/50), packet) // 20 ms in
	if err == nil {
		_, err = dec.Decode(packet[:n], make([]int16, 8000*120/1000)) // room for the longest packet
	}
	if err != nil {
		return problem(fix, "a frame did not pass: %v", err)
	}
	return ok("%s", media.OpusVersion())
}

// checkDataDir proves that the folder can be written durably by the user who runs the check.
func checkDataDir(dir string) Finding {
	fix := "create it for the service user: install -d -m 0700 -o deskbridge -g deskbridge " + dir
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return problem(fix, "%s does not exist", dir)
	case err != nil:
		return problem(fix, "%v", err)
	case !st.IsDir():
		return problem("move the file away", "%s is not a folder", dir)
	}
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return problem(fix, "not writable: %v", err)
	}
	_, err = f.WriteString("deskbridge check")
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	if err != nil {
		return problem("check the disk", "a file could not be written and synced: %v", err)
	}
	if kind := remoteKind(dir); kind != "" {
		return problem("use a local disk", "%s is on %s, which cannot promise that written data stays", dir, kind)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return warning("chmod 0700 "+dir, "%s is open to others (mode %04o)", dir, st.Mode().Perm())
	}
	return ok("%s is writable", dir)
}

// remoteKind names a file system on which mmap or fsync do not mean what the store needs (statfs(2)).
func remoteKind(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ""
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case 0xfe534d42, 0xff534d42, unix.SMB_SUPER_MAGIC:
		return "SMB"
	}
	return ""
}

// Watermarks of the reliability paper: below the first only call facts are written, below the second recordings stop.
const (
	diskLow  = 256 << 20
	diskWarn = 2 << 30
)

func checkDisk(dir string) Finding {
	for !exists(dir) && dir != "/" {
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return problem("check the disk", "%v", err)
	}
	free := st.Bavail * uint64(st.Bsize)
	switch {
	case free < diskLow:
		return problem("free at least 2 GiB", "%d MiB free under %s", free>>20, dir)
	case free < diskWarn:
		return warning("free at least 2 GiB", "%d MiB free under %s", free>>20, dir)
	case st.Files > 0 && st.Ffree < 1000:
		return problem("delete unneeded files", "%d inodes free under %s", st.Ffree, dir)
	}
	return ok("%d GiB free under %s", free>>30, dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// filesPerCall is a socket for Meta, and a pair of sockets for each of a few phones that ring.
const (
	filesPerCall = 10
	filesBase    = 512
)

func checkFiles(calls int) Finding {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return skipped("%v", err)
	}
	need := uint64(calls*filesPerCall + filesBase)
	if lim.Max < need { // Go raises the soft limit to the hard one by itself
		return problem("raise LimitNOFILE of the service or lower calls.max", "%d files may be open, %d calls may need %d", lim.Max, calls, need)
	}
	return ok("%d allowed, %d calls may need %d", lim.Max, calls, need)
}

// buildYear is a year in which the clock can certainly not stand any more.
const buildYear = 2026

func checkClock(now time.Time) Finding {
	const fix = "run a time service: apt-get install chrony (or systemd-timesyncd)"
	if now.Year() < buildYear {
		return problem(fix, "the clock says %s", now.UTC().Format(time.DateTime))
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return skipped("the kernel does not say whether the clock is synchronised: %v", err)
	}
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		return warning(fix, "%s, not synchronised; permissions and stale calls are judged by it", now.UTC().Format(time.DateTime))
	}
	return ok("%s UTC, synchronised", now.UTC().Format(time.DateTime))
}

func checkMusic(path string) Finding {
	if path == "" {
		return ok("none configured, customers on hold hear silence")
	}
	f, err := os.Open(path)
	if err != nil {
		return problem("correct media.hold_music or make the file readable", "%v", err)
	}
	defer f.Close()
	head := make([]byte, 12)
	if _, err := f.Read(head); err != nil || string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return problem("convert it: ffmpeg -i music -ac 1 -ar 16000 -c:a pcm_s16le hold.wav", "%s is not a WAV file", path)
	}
	return ok("%s", path)
}

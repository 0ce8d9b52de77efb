package recorder

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// MarkerFile lies in the recording folder and holds the volume's ID. Without it nothing is recorded and nothing deleted:
	// the folder is then an empty mount point on the root disk, or another disk.
	MarkerFile = ".deskbridge-recordings"
	probeFile  = ".deskbridge-probe"
	maxMarker  = 256
)

// FS is the file system as the recorder uses it; tests put faults in its place.
type FS interface {
	// Open opens the recording folder itself. Everything else goes through it, so that a volume that is unmounted in between
	// is not replaced by the folder below.
	Open(dir string) (Volume, error)
}

// Volume is an open recording folder. Names are below it, with slashes.
type Volume interface {
	ReadFile(name string) ([]byte, error)
	MkdirAll(name string) error         // 0700
	Create(name string) (File, error)   // 0600, fails with fs.ErrExist if it is there
	Open(name string) (ReadFile, error) // for reading
	SyncDir(name string) error          // makes the entries of a folder durable
	Probe() error                       // a small synced write
	Space() (Space, error)
	Close() error
}

// File is a recording being written: append only.
type File interface {
	io.Writer
	Sync() error // fdatasync
	Close() error
}

// ReadFile is a recording being read.
type ReadFile interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

// Space is what a volume has left.
type Space struct {
	Free     int64 // bytes available to us
	ReadOnly bool
}

// Claim makes dir (0700) a recording folder and returns the volume's ID. A folder that is one already keeps its ID. It is
// called once, when an admin names the folder; the ID goes into Config.VolumeID.
func Claim(dir string) (id string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("claim recording folder: %w", err)
	}
	v, err := osFS{}.Open(dir)
	if err != nil {
		return "", fmt.Errorf("claim recording folder: %w", err)
	}
	defer v.Close()
	if id, err := readMarker(v); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	b := make([]byte, idSize)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("claim recording folder: %w", err)
	}
	id = hex.EncodeToString(b)
	f, err := v.Create(MarkerFile)
	if err != nil {
		return "", fmt.Errorf("claim recording folder %s: %w", dir, err)
	}
	_, err = f.Write([]byte(id + "\n"))
	err = errors.Join(err, f.Sync(), f.Close(), v.SyncDir("."))
	if err != nil {
		return "", fmt.Errorf("claim recording folder %s: %w", dir, err)
	}
	return id, nil
}

func readMarker(v Volume) (string, error) {
	b, err := v.ReadFile(MarkerFile)
	if err != nil {
		return "", fmt.Errorf("read volume marker: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" || len(id) > maxMarker {
		return "", fmt.Errorf("volume marker %s: %w: want an ID of at most %d bytes", MarkerFile, ErrInvalid, maxMarker)
	}
	return id, nil
}

// checkMarker is ErrNoVolume unless the volume is the one expected ("" = any that was claimed).
func checkMarker(v Volume, want string) error {
	id, err := readMarker(v)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: no %s in the folder: mount the recording disk", ErrNoVolume, MarkerFile)
	case err != nil:
		return err
	case want != "" && id != want:
		return fmt.Errorf("%w: the folder holds volume %s, not %s: mount the right disk", ErrNoVolume, id, want)
	}
	return nil
}

// CheckVolume says whether dir is the recording volume with this ID ("" = any that was claimed). Whoever deletes
// recordings asks first.
func CheckVolume(dir, id string) error {
	v, err := osFS{}.Open(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoVolume, err)
	}
	defer v.Close()
	return checkMarker(v, id)
}

// osFS is the real one, on os.Root: no name leads out of the folder.
type osFS struct{}

func (osFS) Open(dir string) (Volume, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return osVolume{r}, nil
}

type osVolume struct{ *os.Root }

func (v osVolume) ReadFile(name string) ([]byte, error) {
	f, err := v.Root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMarker+1))
}

func (v osVolume) MkdirAll(name string) error { return v.Root.MkdirAll(name, 0o700) }

func (v osVolume) Create(name string) (File, error) {
	f, err := v.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "fstat", Path: f.Name(), Err: err}, f.Close())
	}
	return osFile{f, st.Dev}, nil
}

func (v osVolume) Open(name string) (ReadFile, error) {
	f, err := v.Root.Open(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (v osVolume) SyncDir(name string) error {
	d, err := v.Root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (v osVolume) Probe() error {
	f, err := v.OpenFile(probeFile, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("deskbridge probes the disk here\n")
	return errors.Join(err, unix.Fdatasync(int(f.Fd())), f.Close())
}

func (v osVolume) Space() (Space, error) {
	d, err := v.Root.Open(".")
	if err != nil {
		return Space{}, err
	}
	defer d.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.Fd()), &st); err != nil {
		return Space{}, fmt.Errorf("statfs: %w", err)
	}
	// ST_RDONLY of statfs(2) has the same value as MS_RDONLY.
	return Space{Free: int64(st.Bavail) * st.Bsize, ReadOnly: st.Flags&unix.MS_RDONLY != 0}, nil
}

type osFile struct {
	*os.File
	dev uint64
}

// Volume is the device number.
func (f osFile) Volume() uint64 { return f.dev }

// SyncVolume is syncfs: whatever is not on the disk yet, also of others' files there. Before Linux 5.8 it tells no write error;
// the fdatasync that finishes a file does.
func (f osFile) SyncVolume() error {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &fs.PathError{Op: "syncfs", Path: f.Name(), Err: err}
	}
	return nil
}

// Sync is fdatasync: the size is made durable with the data, times are not worth a journal entry.
func (f osFile) Sync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

const maxPerCall = 100

// freeName is the path of a call's next recording. A call that is recorded again on the same day gets a file of its own: a
// finished one is never opened for writing.
func freeName(v Volume, day, call string) (string, error) {
	for n := 1; n <= maxPerCall; n++ {
		name := path.Join(day, call+".dbr")
		if n > 1 {
			name = path.Join(day, fmt.Sprintf("%s-%d.dbr", call, n))
		}
		f, err := v.Open(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return name, nil
		case err != nil:
			return "", fmt.Errorf("look for recording %s: %w", name, err)
		}
		f.Close()
	}
	return "", fmt.Errorf("name recording: %w: call %s has %d today already", ErrInvalid, call, maxPerCall)
}

// createFile makes the file and its folders. unsynced are the folders whose new entries must be made durable; those that were
// there are so already.
func createFile(v Volume, name string) (f File, unsynced []string, err error) {
	day := path.Dir(name)
	unsynced = []string{day}
	if d, err := v.Open(day); err == nil {
		d.Close()
	} else if err := v.MkdirAll(day); err != nil {
		return nil, nil, fmt.Errorf("make folder %s: %w", day, err)
	} else {
		for dir := day; dir != "."; {
			dir = path.Dir(dir)
			unsynced = append(unsynced, dir)
		}
	}
	if f, err = v.Create(name); err != nil {
		return nil, nil, fmt.Errorf("create recording: %w", err)
	}
	return f, unsynced, nil
}

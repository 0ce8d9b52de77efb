package ivr

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"deskbridge/media"
)

const (
	// maxUploads bounds all uploads together: every prompt of both languages and a good many names.
	maxUploads = 64 << 20
	// quietest is the level of an upload that is taken for silence.
	quietest = -55.0
)

// ErrUploadName says that an upload has a name that belongs to no prompt.
var ErrUploadName = errors.New("not the name of a prompt")

type upload struct {
	audio   []byte
	version uint64
}

// Check says what is wrong with an upload, nil if nothing. name is where it goes: "en/why.none.wav", "id/goodbye.opus", or
// "names/<customer id>.wav" for the name of a customer.
func (l *Library) Check(name string, audio []byte) error {
	if _, err := l.uploadKey(name); err != nil {
		return fmt.Errorf("check prompt: %w", err)
	}
	pcm, err := decodeAudio(audio)
	switch {
	case err != nil:
		return fmt.Errorf("check prompt %q: %w", name, err)
	case len(pcm) < Rate/20 || media.Level(pcm) < quietest:
		return fmt.Errorf("check prompt %q: the recording is silent or shorter than %v: record it again, louder: %w", name, 50*time.Millisecond, ErrAudio)
	}
	return nil
}

// uploadKey turns the name of an upload into the key of what it replaces.
func (l *Library) uploadKey(name string) (string, error) {
	folder, file := path.Split(name)
	ext := path.Ext(file)
	id := strings.TrimSuffix(file, ext)
	if ext != ".wav" && ext != ".opus" {
		return "", fmt.Errorf("%q: end it with .wav or .opus: %w", name, ErrUploadName)
	}
	if folder == "names/" {
		if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
			return "", fmt.Errorf("%q: a name's file is called by the customer's ID: %w", name, ErrUploadName)
		}
		return "names/" + id, nil
	}
	lang := strings.TrimSuffix(folder, "/")
	if !slices.ContainsFunc(l.texts[lang], func(t Text) bool { return t.ID == id }) {
		return "", fmt.Errorf("%q: no prompt is called so; the names are in the list of prompts: %w", name, ErrUploadName)
	}
	return lang + "/" + id, nil
}

// Replace puts an upload that Check has nothing against in its place, at once, until Restore. It keeps audio.
func (l *Library) Replace(name string, audio []byte) error {
	if err := l.Check(name, audio); err != nil {
		return err
	}
	key, _ := l.uploadKey(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	total := len(audio) - len(l.uploads[key].audio)
	for _, u := range l.uploads {
		total += len(u.audio)
	}
	if total > maxUploads {
		return fmt.Errorf("replace prompt %q: all uploads together exceed %d bytes: remove some: %w", name, maxUploads, ErrAudio)
	}
	l.drop(key)
	l.versions++
	l.uploads[key] = upload{audio: audio, version: l.versions}
	return nil
}

// Restore forgets an upload: the built-in prompt, or the machine's voice, is back.
func (l *Library) Restore(name string) error {
	key, err := l.uploadKey(name)
	if err != nil {
		return fmt.Errorf("restore prompt: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(key)
	delete(l.uploads, key)
	return nil
}

// drop takes what was decoded of a prompt out of the cache.
func (l *Library) drop(key string) {
	l.cached -= len(l.cache[key])
	delete(l.cache, key)
}

func (l *Library) upload(key string) (upload, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u, ok := l.uploads[key]
	return u, ok
}

// Load replaces prompts by the files of a folder with the layout of Check's names. Files that cannot be used change
// nothing and are named in the error; the others count.
func (l *Library) Load(folder fs.FS) error {
	var bad []error
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			bad = append(bad, err)
			return nil
		case d.IsDir() || strings.HasPrefix(path.Base(name), "."):
			return nil
		}
		audio, err := readUpload(folder, name)
		if err == nil {
			err = l.Replace(name, audio)
		}
		if err != nil {
			bad = append(bad, err)
		}
		return nil
	})
	if err = errors.Join(append(bad, err)...); err != nil {
		return fmt.Errorf("load prompts: %w", err)
	}
	return nil
}

func readUpload(folder fs.FS, name string) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	audio, err := io.ReadAll(io.LimitReader(f, MaxUpload+1))
	if err != nil {
		return nil, fmt.Errorf("read prompt %q: %w", name, err)
	}
	return audio, nil
}

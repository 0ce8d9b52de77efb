package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrWAV says that a file is not a WAV file we play: 16 bit PCM, mono, 8, 16 or 48 kHz.
var ErrWAV = errors.New("not 16 bit mono PCM at 8, 16 or 48 kHz")

// maxWAV bounds what is read into memory: 10 minutes at 48 kHz.
const maxWAV = 10 * 60 * 48000 * 2

// ReadWAV reads a prompt or music file.
func ReadWAV(r io.Reader) (pcm []int16, rate int, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, fmt.Errorf("read WAV header: %w", err)
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, 0, fmt.Errorf("read WAV header: %w", ErrWAV)
	}
	for {
		var chunk [8]byte
		if _, err := io.ReadFull(r, chunk[:]); err != nil {
			return nil, 0, fmt.Errorf("read WAV chunk: %w", err)
		}
		size := int64(binary.LittleEndian.Uint32(chunk[4:]))
		switch string(chunk[:4]) {
		case "fmt ":
			if rate, err = readWAVFormat(r, size); err != nil {
				return nil, 0, err
			}
		case "data":
			if rate == 0 {
				return nil, 0, fmt.Errorf("WAV data before its format: %w", ErrWAV)
			}
			pcm, err := readWAVData(r, size)
			return pcm, rate, err
		default:
			// Chunks are padded to even length.
			if _, err := io.CopyN(io.Discard, r, size+size&1); err != nil {
				return nil, 0, fmt.Errorf("skip WAV chunk %q: %w", chunk[:4], err)
			}
		}
	}
}

func readWAVFormat(r io.Reader, size int64) (rate int, err error) {
	if size < 16 || size > 256 {
		return 0, fmt.Errorf("WAV format of %d bytes: %w", size, ErrWAV)
	}
	f := make([]byte, size+size&1)
	if _, err := io.ReadFull(r, f); err != nil {
		return 0, fmt.Errorf("read WAV format: %w", err)
	}
	coding, channels := binary.LittleEndian.Uint16(f), binary.LittleEndian.Uint16(f[2:])
	rate, bits := int(binary.LittleEndian.Uint32(f[4:])), binary.LittleEndian.Uint16(f[14:])
	// 0xfffe is the extensible form of the same; its first sub-format word says PCM again.
	extensible := coding == 0xfffe && size >= 26 && binary.LittleEndian.Uint16(f[24:]) == 1
	if coding != 1 && !extensible || channels != 1 || bits != 16 || rate != 8000 && rate != 16000 && rate != 48000 {
		return 0, fmt.Errorf("WAV of coding %d, %d channels, %d bit, %d Hz: %w", coding, channels, bits, rate, ErrWAV)
	}
	return rate, nil
}

// readWAVData reads what there is: a size too large is what a stream or a cut file has.
func readWAVData(r io.Reader, size int64) ([]int16, error) {
	var data bytes.Buffer
	n, err := io.Copy(&data, io.LimitReader(r, min(size, maxWAV+1)))
	if err != nil {
		return nil, fmt.Errorf("read WAV data: %w", err)
	}
	if n > maxWAV {
		return nil, fmt.Errorf("WAV longer than %d bytes: %w", maxWAV, ErrWAV)
	}
	pcm := make([]int16, n/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(data.Bytes()[2*i:]))
	}
	return pcm, nil
}

// WriteWAV writes 16 bit mono PCM.
func WriteWAV(w io.Writer, pcm []int16, rate int) error {
	size := uint32(2 * len(pcm))
	b := make([]byte, 0, 44+2*len(pcm))
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, 36+size)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 1) // mono
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(2*rate))
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, size)
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write WAV: %w", err)
	}
	return nil
}

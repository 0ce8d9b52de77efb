package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// ArchiveConfig names an S3-compatible storage.
type ArchiveConfig struct {
	Endpoint  string // https://HOST or https://HOST:PORT
	Bucket    string
	Region    string // default us-east-1, which storages without regions take
	Prefix    string // of every object's name
	AccessKey string
	SecretKey string

	Transport http.RoundTripper // default: http.DefaultTransport's settings
}

// Archive keeps copies of recordings in S3-compatible storage. The files stay sealed: the storage learns their size, their
// call ID and when they were made, and nothing else. Methods are safe for concurrent use.
type Archive struct {
	cfg  ArchiveConfig
	core *minio.Core
}

const (
	copyLimit  = 30 * time.Minute // of one recording
	askLimit   = 30 * time.Second
	maxObject  = 5 << 30 // of one PUT (S3's limit); a day of Opus in both directions is 430 MB
	objectType = "application/octet-stream"
)

// NewArchive makes a client; it connects with the first copy.
func NewArchive(cfg ArchiveConfig) (*Archive, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("recording archive: %w: endpoint %q: write https://HOST", ErrInvalid, cfg.Endpoint)
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure: u.Scheme == "https", Region: cfg.Region, Transport: cfg.Transport,
		MaxRetries: 1, // the worker tries again, with its own patience
	})
	if err != nil {
		return nil, fmt.Errorf("recording archive: %w", err)
	}
	return &Archive{cfg: cfg, core: core}, nil
}

// Object is the name of a recording's copy.
func (a *Archive) Object(it Item) string { return a.cfg.Prefix + it.Path }

// Where is how the ledger names an object: bucket and name.
func (a *Archive) Where(object string) string { return "s3://" + path.Join(a.cfg.Bucket, object) }

// Copy stores a recording's file, whose SHA-256 the ledger knows, and verifies the copy: the storage checks the signed
// SHA-256 of what arrives, then is asked for the size, and for its own checksum; one that keeps none is read back. It
// returns where the copy is.
func (a *Archive) Copy(ctx context.Context, it Item, file io.ReadSeeker) (where string, err error) {
	ctx, cancel := context.WithTimeout(ctx, copyLimit)
	defer cancel()
	object := a.Object(it)
	if it.Bytes <= 0 || it.Bytes > maxObject {
		return "", fmt.Errorf("copy recording %s: %w: %d bytes, want 1 to %d", it.Path, ErrInvalid, it.Bytes, int64(maxObject))
	}
	opts := minio.PutObjectOptions{
		ContentType: objectType, DisableContentSha256: true, // no chunked signature: the SHA-256 of the whole is signed
		UserMetadata: map[string]string{"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(it.SHA256[:]), "sha256": hex.EncodeToString(it.SHA256[:])},
	}
	if _, err := a.core.PutObject(ctx, a.cfg.Bucket, object, file, it.Bytes, "", hex.EncodeToString(it.SHA256[:]), opts); err != nil {
		return "", fmt.Errorf("copy recording %s: %w", it.Path, explain(err))
	}
	if err := a.verify(ctx, it, object); err != nil {
		return "", fmt.Errorf("verify the copy of recording %s: %w", it.Path, err)
	}
	return a.Where(object), nil
}

var errCopy = errors.New("the copy is not what was sent")

func (a *Archive) verify(ctx context.Context, it Item, object string) error {
	info, err := a.core.StatObject(ctx, a.cfg.Bucket, object, minio.StatObjectOptions{Checksum: true})
	switch {
	case err != nil:
		return explain(err)
	case info.Size != it.Bytes:
		return fmt.Errorf("%w: %d bytes of %d", errCopy, info.Size, it.Bytes)
	case info.ChecksumSHA256 == base64.StdEncoding.EncodeToString(it.SHA256[:]):
		return nil
	case info.ChecksumSHA256 != "":
		return fmt.Errorf("%w: its checksum is another", errCopy)
	}
	body, _, _, err := a.core.GetObject(ctx, a.cfg.Bucket, object, minio.GetObjectOptions{})
	if err != nil {
		return explain(err)
	}
	defer body.Close()
	h := sha256.New()
	if n, err := io.Copy(h, io.LimitReader(body, it.Bytes+1)); err != nil || n != it.Bytes {
		return fmt.Errorf("%w: %d of %d bytes could be read back: %w", errCopy, n, it.Bytes, errors.Join(err))
	}
	if [32]byte(h.Sum(nil)) != it.SHA256 {
		return fmt.Errorf("%w: what is read back has another checksum", errCopy)
	}
	return nil
}

// Remove deletes a copy, named as Copy returned it. One that is not there is fine.
func (a *Archive) Remove(ctx context.Context, where string) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	u, err := url.Parse(where)
	if err != nil || u.Scheme != "s3" || u.Host != a.cfg.Bucket {
		return fmt.Errorf("remove copy %q: %w: it is in another bucket than %q", where, ErrInvalid, a.cfg.Bucket)
	}
	if err := a.core.RemoveObject(ctx, a.cfg.Bucket, u.Path[1:], minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("remove copy %s: %w", where, explain(err))
	}
	return nil
}

// explain adds what to do to the answers that only a person can change.
func explain(err error) error {
	switch minio.ToErrorResponse(err).Code {
	case "NoSuchBucket":
		return fmt.Errorf("%w: make the bucket, or correct recording.archive.bucket", err)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return fmt.Errorf("%w: check recording.archive.access_key, its secret key and what it may do", err)
	case "XAmzContentSHA256Mismatch", "BadDigest":
		return fmt.Errorf("%w: the file is not what the ledger says any more: deskbridge recording verify", err)
	}
	return err
}

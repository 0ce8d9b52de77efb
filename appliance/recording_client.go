package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// RecordingQuery is what Recordings asks for. Zero values don't filter; Customer is an ID, a number or an alias.
type RecordingQuery struct {
	Line, Agent, Customer, Call string
	Since, Before               time.Time
	Held                        bool
	Cursor                      string
}

// Recordings lists a page of recordings, newest first.
func (c *ControlClient) Recordings(ctx context.Context, q RecordingQuery) (list RecordingList, err error) {
	v := url.Values{}
	for key, text := range map[string]string{"line": q.Line, "agent": q.Agent, "customer": q.Customer, "call": q.Call, "cursor": q.Cursor} {
		if text != "" {
			v.Set(key, text)
		}
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339))
	}
	if !q.Before.IsZero() {
		v.Set("before", q.Before.Format(time.RFC3339))
	}
	if q.Held {
		v.Set("held", "true")
	}
	return list, c.get(ctx, "/recordings?"+v.Encode(), &list)
}

// ExportRecording gives a recording in one of RecordingFormats. Close the body; size is its length.
func (c *ControlClient) ExportRecording(ctx context.Context, id, format string) (body io.ReadCloser, size int64, name string, err error) {
	res, err := c.open(ctx, http.MethodGet, "/recordings/"+url.PathEscape(id)+"/export", url.Values{"format": {format}})
	if err != nil {
		return nil, 0, "", err
	}
	size, err = strconv.ParseInt(res.Header.Get("Content-Length"), 10, 64)
	if err != nil {
		return nil, 0, "", errors.Join(fmt.Errorf("control socket did not say how long recording %s is: %w", id, err), res.Body.Close())
	}
	return res.Body, size, dispositionName(res.Header.Get("Content-Disposition")), nil
}

// VerifyRecording checks a recording; progress is told how far it is.
func (c *ControlClient) VerifyRecording(ctx context.Context, id string, progress func(at, of int64)) (RecordingReport, error) {
	last, err := c.follow(ctx, "/recordings/"+url.PathEscape(id)+"/verify", url.Values{}, progress)
	if err != nil || last.Report == nil {
		return RecordingReport{}, err
	}
	return *last.Report, nil
}

// EraseRecordings erases a customer's recordings and, when everything is set, what else is personal.
func (c *ControlClient) EraseRecordings(ctx context.Context, customer string, everything bool, progress func(at, of int64)) (Erasure, error) {
	last, err := c.follow(ctx, "/recordings/erase", url.Values{"customer": {customer}, "everything": {strconv.FormatBool(everything)}}, progress)
	if err != nil || last.Erased == nil {
		return Erasure{}, err
	}
	return *last.Erased, nil
}

// HoldRecording puts a recording under a legal hold.
func (c *ControlClient) HoldRecording(ctx context.Context, id, reason string) error {
	_, err := c.ask(ctx, "/recordings/"+url.PathEscape(id)+"/hold", url.Values{"reason": {reason}})
	return err
}

// ReleaseRecording ends a legal hold.
func (c *ControlClient) ReleaseRecording(ctx context.Context, id string) error {
	_, err := c.ask(ctx, "/recordings/"+url.PathEscape(id)+"/release", url.Values{})
	return err
}

// LinkRecording makes a link below the admin listener's address.
func (c *ControlClient) LinkRecording(ctx context.Context, id, format string, ttl time.Duration) (string, error) {
	body, err := c.ask(ctx, "/recordings/"+url.PathEscape(id)+"/link", url.Values{"format": {format}, "for": {ttl.String()}})
	return body["link"], err
}

// ConfirmClock says that the appliance's clock is right.
func (c *ControlClient) ConfirmClock(ctx context.Context) error {
	_, err := c.ask(ctx, "/recordings/clock", url.Values{})
	return err
}

// RotateRecordingKey makes a fresh recording key and returns its ID.
func (c *ControlClient) RotateRecordingKey(ctx context.Context) (string, error) {
	body, err := c.ask(ctx, "/recordings/key", url.Values{})
	return body["key"], err
}

func (c *ControlClient) ask(ctx context.Context, path string, q url.Values) (answer map[string]string, err error) {
	behind(q)
	body, err := c.do(ctx, http.MethodPost, path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return answer, json.Unmarshal(body, &answer)
}

// behind tells who used sudo; the daemon itself sees root only.
func behind(q url.Values) {
	if who := os.Getenv("SUDO_USER"); who != "" {
		q.Set("behind", who)
	}
}

// open is do for an answer that may be long and take long: ctx alone bounds it.
func (c *ControlClient) open(ctx context.Context, method, path string, q url.Values) (*http.Response, error) {
	behind(q)
	req, err := http.NewRequestWithContext(ctx, method, "http://deskbridge"+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	long := *c.http
	long.Timeout = 0
	res, err := long.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxControlAnswer))
	if err != nil {
		return nil, err
	}
	return nil, answeredError(res, text)
}

// follow reads an answer of several lines and returns the last.
func (c *ControlClient) follow(ctx context.Context, path string, q url.Values, progress func(at, of int64)) (RecordingProgress, error) {
	res, err := c.open(ctx, http.MethodPost, path, q)
	if err != nil {
		return RecordingProgress{}, err
	}
	defer res.Body.Close()
	for dec := json.NewDecoder(res.Body); ; {
		var l RecordingProgress
		if err := dec.Decode(&l); err != nil {
			return l, fmt.Errorf("the daemon broke off: %w", err)
		}
		if l.Error != "" {
			return l, errors.New(l.Error)
		}
		if progress != nil && l.Of > 0 {
			progress(l.At, l.Of)
		}
		if l.Done {
			return l, nil
		}
	}
}

// dispositionName is the file name an answer proposes, without any folder.
func dispositionName(header string) string {
	_, params, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	return filepath.Base(params["filename"])
}

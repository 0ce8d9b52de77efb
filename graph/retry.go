package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// The retry limits: at most maxTries within budget, so that an agent's phone hears something within 8 s.
const (
	maxTries = 4
	budget   = 8 * time.Second
	// tryLimit bounds one try, so that a hanging connection leaves room for another.
	tryLimit = 2500 * time.Millisecond
	// connectLimit is all that connect gets: with the 3 s its caller then waits for a webhook it stays inside budget.
	connectLimit = 4500 * time.Millisecond
	firstPause   = 250 * time.Millisecond
)

// do sends r until it is answered, at most maxTries within budget. It is for requests that may be repeated. uncertain
// reports whether a try before the last may have taken effect without our seeing the answer.
func (c *Client) do(ctx context.Context, r request, out any) (uncertain bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	payload, err := encode(r.body)
	if err != nil {
		return false, err
	}
	for n := 1; ; n++ {
		tryCtx, done := context.WithTimeout(ctx, tryLimit)
		a := c.try(tryCtx, r, payload, out)
		done()
		pause, again := retryable(a.err, n)
		if a.err == nil || !again || n == maxTries || !c.pause(ctx, pause) {
			return uncertain, a.err
		}
		uncertain = uncertain || (a.sent && AsError(a.err) == nil)
		c.metrics.retries.WithLabelValues(r.action).Inc()
		c.log.Debug("graph request tried again", "action", r.action, "try", n+1, "err", a.err)
	}
}

// once sends a request that must not be repeated blindly. It tries again only when nothing can have happened: no
// connection was had, or Graph itself answered that it could not (138004: retry once, §18.1).
func (c *Client) once(ctx context.Context, r request, out any) error {
	limit := r.limit
	if limit == 0 {
		limit = connectLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	payload, err := encode(r.body)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		a := c.try(ctx, r, payload, out)
		e := AsError(a.err)
		switch {
		case a.err == nil:
			return nil
		case e == nil && a.sent:
			return fmt.Errorf("%w: %w", ErrUncertain, a.err)
		case e != nil && !(e.Unavailable() && n == 1), n == maxTries:
			return a.err
		}
		pause, _ := retryable(a.err, n)
		if !c.pause(ctx, pause) {
			return a.err
		}
		c.metrics.retries.WithLabelValues(r.action).Inc()
	}
}

// retryable says whether another try makes sense and after how long: exponential with full jitter in its upper half, or
// what Retry-After demands.
func retryable(err error, n int) (time.Duration, bool) {
	if err == nil {
		return 0, false
	}
	wait := firstPause << (n - 1)
	wait = wait/2 + rand.N(wait/2)
	if ae, ok := errors.AsType[*answerError](err); ok {
		again := ae.status/100 == 5 || ae.status/100 == 2 || ae.status == http.StatusTooManyRequests
		return max(wait, ae.retryAfter), again
	}
	if e := AsError(err); e != nil {
		return max(wait, e.RetryAfter), e.Unavailable() || e.RateLimited()
	}
	return wait, !errors.Is(err, context.Canceled)
}

// pause waits, unless the deadline would come first: then there is no point in waiting.
func (c *Client) pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func encode(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return payload, nil
}

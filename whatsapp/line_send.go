package whatsapp

import (
	"context"

	"deskbridge/bridge"
	"deskbridge/graph"
)

// The messages of a line. id, ours, comes back in every status webhook (graph.Event.CallbackData), so that a message whose
// sending ended in graph.ErrUncertain is recognised. Nothing is ever sent twice by itself. Errors are *bridge.CauseError with
// Meta's error in the chain.

// SendText sends free text inside the 24-hour window.
func (l *Line) SendText(ctx context.Context, c bridge.Customer, text, id string) (wamid string, err error) {
	wamid, err = l.graph.SendText(ctx, l.number, recipient(c), text, graph.WithCallbackData(id))
	return wamid, l.sent(c, err)
}

// AskPermission sends a free-form permission request inside the 24-hour window.
func (l *Line) AskPermission(ctx context.Context, c bridge.Customer, text, id string) (wamid string, err error) {
	wamid, err = l.graph.SendPermissionRequest(ctx, l.number, recipient(c), text, graph.WithCallbackData(id))
	return wamid, l.sent(c, err)
}

// SendButton sends a call button inside the 24-hour window.
func (l *Line) SendButton(ctx context.Context, c bridge.Customer, b graph.CallButton, id string) (wamid string, err error) {
	wamid, err = l.graph.SendCallButton(ctx, l.number, recipient(c), b, graph.WithCallbackData(id))
	return wamid, l.sent(c, err)
}

// SendTemplate sends an approved template at any time.
func (l *Line) SendTemplate(ctx context.Context, c bridge.Customer, m graph.TemplateMessage, id string) (wamid string, err error) {
	wamid, err = l.graph.SendTemplate(ctx, l.number, recipient(c), m, graph.WithCallbackData(id))
	return wamid, l.sent(c, err)
}

func (l *Line) sent(c bridge.Customer, err error) error {
	l.Forget(c) // a request uses up a quota, taken or not
	if err == nil {
		return nil
	}
	return l.failed(err)
}

// Settings reads the line's calling settings at Meta.
func (l *Line) Settings(ctx context.Context) (graph.Settings, error) {
	s, err := l.graph.Settings(ctx, l.number)
	if err != nil {
		return s, l.failed(err)
	}
	return s, nil
}

// WriteSettings changes them.
func (l *Line) WriteSettings(ctx context.Context, s graph.SettingsChange) error {
	if err := l.graph.WriteSettings(ctx, l.number, s); err != nil {
		return l.failed(err)
	}
	return nil
}

// Templates lists the templates of the line's account.
func (l *Line) Templates(ctx context.Context) ([]graph.Template, error) {
	t, err := l.graph.Templates(ctx, l.account)
	if err != nil {
		return nil, l.failed(err)
	}
	return t, nil
}

// CreateTemplate hands a template to Meta for approval.
func (l *Line) CreateTemplate(ctx context.Context, s graph.TemplateSpec) (graph.Template, error) {
	t, err := l.graph.CreateTemplate(ctx, l.account, s)
	if err != nil {
		return t, l.failed(err)
	}
	return t, nil
}

// DeleteTemplate deletes a template by name and Meta's ID.
func (l *Line) DeleteTemplate(ctx context.Context, name, id string) error {
	if err := l.graph.DeleteTemplate(ctx, l.account, name, id); err != nil {
		return l.failed(err)
	}
	return nil
}

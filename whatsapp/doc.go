// Package whatsapp is everything that touches a WhatsApp customer: the webhook intake, a business number (Line) that dials
// customers, and the leg of one customer call (Leg) with its WebRTC media. It isn't the wire format (package graph) and
// decides nothing about who may call whom.
//
// Goroutines: Hub owns the legs and waits for them in Stop; each leg owns its loop, its one worker for HTTP and its media,
// all gone before its EventEnded. Webhook owns the one goroutine that works off what was stored. See DESIGN.md.
package whatsapp

// Package admin is the listener for people and supervision on the management network: the API under /api/v1, described by
// /api/v1/openapi.json (kept in openapi.json beside this file), and the two probes /healthz and /readyz. It decides
// nothing about calls and knows store, exchange and settings only through the interfaces of ports.go. The Server owns the
// goroutine that serves and those net/http starts for its connections; Stop ends the streams and waits for all of them.
//
// # Threats
//
// The listener is for the management network, yet it is built for a hostile one. Who attacks, with what, and what stands
// against it:
//
//   - A stranger guesses passwords. Passwords are hashed with argon2id (64 MiB), at most two at once and a short queue, so
//     that guessing costs neither memory nor the calls their CPU. Each account and each address (an IPv6 /64) has ten
//     failures per 15 minutes, the fourth and later ones only after a growing pause; the attempt is counted before the hash is
//     computed, so parallel guesses gain nothing. An unknown account costs the same hash and gives the same answer.
//     A locked account can be used from the machine itself: deskbridge user passwd clears the lock.
//   - A stranger is first. The first account is made with a one-time code that only the log shows, or over the control
//     socket, whose file mode is the authentication.
//   - A thief has a copy of the data folder. Sessions and API tokens are stored under their HMAC, accounts sealed, so the
//     copy without its key signs nobody in.
//   - A thief has a cookie. Sessions end after 8 hours without use, after 7 days in any case, at sign-out, and all of them
//     when the password changes; the owner sees and ends them. The cookie is HttpOnly, SameSite=Strict and, over
//     TLS, Secure with the __Host- prefix. A session is always new at sign-in: one planted before is worth nothing.
//   - Another site makes the browser act. Unsafe methods need a same-origin request (Sec-Fetch-Site or Origin,
//     http.CrossOriginProtection) and the header X-Deskbridge, which no form can send and no other origin may. API tokens
//     come in the Authorization header, which browsers do not send by themselves.
//   - A customer chooses his profile name. What comes from outside leaves as JSON with its type and nosniff, without
//     control and bidirectional characters; cells of exports cannot become formulas; the policy of the pages allows no inline script.
//   - A user looks at what is not theirs. What a role may see is part of the query (Scope); a call outside of it is
//     not found rather than forbidden. Every operation names the least role and the token scope it needs, in the
//     OpenAPI document too, and a test tries each with each role. Roles are read again with every request.
//   - A client is slow, huge or many. Headers, bodies (64 KiB), connections, streams and exports are bounded, every read and
//     write has a deadline, every address and user a rate.
//   - A proxy lies about the client. X-Forwarded-For and X-Forwarded-Proto count only from the proxies that are configured.
//
// Not defended: somebody with root or the service user's rights on the machine.
package admin

package admin

import (
	"html/template"
	"net/http"

	"github.com/gin-gonic/gin"
)

// front says where the API is, to whoever opens the listener in a browser.
var front = template.Must(template.New("front").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>deskbridge</title>
<style nonce="{{.}}">body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color-scheme:light dark}</style>
</head>
<body>
<h1>deskbridge</h1>
<p>This appliance is run through its API under <code>/api/v1</code>, described by <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
<p>State: <a href="/readyz">/readyz</a></p>
</body>
</html>
`))

func addPage(r gin.IRoutes) {
	r.GET("/", func(c *gin.Context) {
		c.Header("Content-Type", "text/html; charset=utf-8")
		c.Header("Cache-Control", "no-store")
		c.Status(http.StatusOK)
		nonce, _ := c.Request.Context().Value(nonceKey).(string)
		_ = front.Execute(c.Writer, nonce)
	})
}

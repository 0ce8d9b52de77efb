package admin

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// addProbes serves /healthz (the process answers) and /readyz (it can take calls). Both are open: they tell nothing that
// a failed call would not.
func addProbes(r gin.IRoutes, h Health) {
	r.GET("/healthz", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"status": "ok"})
	})
	r.GET("/readyz", func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		if err := h.Ready(); err != nil {
			c.JSON(http.StatusServiceUnavailable, gin.H{"code": "not_ready", "message": err.Error()})
			return
		}
		c.JSON(http.StatusOK, gin.H{"status": "ready"})
	})
}

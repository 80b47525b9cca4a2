// Asks the object store whether it is alive, since its image holds nothing else that could.
package main

import (
	"net/http"
	"os"
	"time"
)

func main() {
	client := http.Client{Timeout: 4 * time.Second}
	answer, err := client.Get("http://127.0.0.1:9000/minio/health/live")
	if err != nil || answer.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}

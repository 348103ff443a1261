//go:build !race

package server

// raceDetector tells that the race detector is on.
const raceDetector = false

package route

import (
	"sync"
	"testing"
)

func TestWhoWaitsLearnsOfEveryChange(t *testing.T) {
	var s Switch[int]
	if s.Now().Open {
		t.Fatal("a new switch is open")
	}
	var tasks sync.WaitGroup
	for range 8 {
		tasks.Go(func() {
			for {
				way := s.Now()
				if way.Open && way.To == 1000 {
					return
				}
				<-way.Gone()
			}
		})
	}
	for i := range 1000 {
		s.Close()
		s.Set(i + 1)
	}
	tasks.Wait()
	way := s.Now()
	if way.Context().Err() != nil {
		t.Error("the present way has ended")
	}
	s.Close()
	<-way.Context().Done()
}

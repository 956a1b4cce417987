package event

import "time"

// Rate estimates when counted work will end. It uses an exponential moving
// average of the speed, so that a slow start has little effect later.
type Rate struct {
	start, last time.Time
	done        int64
	perSecond   float64
}

// smoothing is the weight of a sample of one second.
const smoothing = 0.02

// Observe records that done units were finished by now.
func (r *Rate) Observe(done int64, now time.Time) {
	if r.start.IsZero() {
		r.start, r.last, r.done = now, now, done
		return
	}
	dt := now.Sub(r.last).Seconds()
	if dt < 0.5 {
		return
	}
	speed := float64(done-r.done) / dt
	weight := min(1, smoothing*dt)
	if r.perSecond == 0 {
		r.perSecond = speed
	} else {
		r.perSecond += weight * (speed - r.perSecond)
	}
	r.last, r.done = now, done
}

// ETA returns the time left for total units; false if it is not known yet.
func (r *Rate) ETA(total int64) (time.Duration, bool) {
	if r.perSecond <= 0 || total <= r.done {
		return 0, false
	}
	return time.Duration(float64(total-r.done) / r.perSecond * float64(time.Second)), true
}

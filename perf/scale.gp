# SPDX-License-Identifier: Apache-2.0
# Throughput by lcores and CPU time by instances, with the model's lines dashed. Called by
# perf/scale.py: data holds five blocks a mode, each a quoted title and lines of "x y":
# Kops/s by lcores with one instance, with as many instances, and by the model; us of busy
# lcores an operation by instances, and by the model. `mark` says what the model is.
set terminal svg size 1180,520 dynamic font 'Helvetica,13' background '#ffffff'
set output out
set datafile separator whitespace
set border 3 linecolor '#8a8f98'
set tics nomirror textcolor '#3a3f47'
set grid linecolor '#e4e7eb' linetype 1
set key outside top center vertical noenhanced reverse Left samplen 3
array colours[8] = ['#0b6bcb', '#d9480f', '#2b8a3e', '#862e9c', '#c2255c', '#087f5b', '#5f3dc4', '#495057']
colour(i) = colours[i % 8 + 1]
set xrange [0:*]
set yrange [0:*]
set multiplot layout 1,2
set xlabel 'lcores, a CPU each'
set ylabel '1000 operations a second'
plot for [i=0:series-1] data index 5*i using 1:2 with points pointtype 6 linewidth 2 \
		linecolor rgb colour(i) title columnheader(1).', one instance', \
     for [i=0:series-1] data index 5*i+1 using 1:2 with linespoints linewidth 2 pointtype 7 \
		pointsize 0.7 linecolor rgb colour(i) title columnheader(1).', S = lcores', \
     for [i=0:series-1] data index 5*i+2 using 1:2 with lines linewidth 2 dashtype 2 \
		linecolor rgb colour(i) title columnheader(1).', '.mark
set xlabel 'instances, on all CPUs'
set ylabel 'us of busy lcores an operation'
plot for [i=0:series-1] data index 5*i+3 using 1:2 with linespoints linewidth 2 pointtype 7 \
		pointsize 0.7 linecolor rgb colour(i) title columnheader(1), \
     for [i=0:series-1] data index 5*i+4 using 1:2 with lines linewidth 2 dashtype 2 \
		linecolor rgb colour(i) title columnheader(1).', a + b S, '.mark
unset multiplot

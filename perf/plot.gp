# SPDX-License-Identifier: Apache-2.0
# The throughput-latency curve of a sweep. Called by perf/sweep.py:
#     gnuplot -e "kind='svg'; data='curve.dat'; out='curve.svg'; series=2" perf/plot.gp
# The data file holds one block a series: a quoted title, then lines of
# "throughput in Kops/s, median, p99 latency in us"; two blank lines between
# blocks. `reference`, where given, is a file of one more block: published points.
# kind='dumb' prints to the terminal, `columns` wide and `rows` high.

if (kind eq 'svg') set terminal svg size 960,520 dynamic font 'Helvetica,14' background '#ffffff'
if (kind eq 'png') set terminal pngcairo size 1440,780 font 'Sans,15' background '#ffffff'
if (kind eq 'dumb') set terminal dumb size columns,rows noenhanced
if (kind ne 'dumb') set output out

set datafile separator whitespace
set logscale xy
set format '%g'
set border 3
set tics nomirror

if (kind eq 'dumb') {
	set xlabel '1000 operations a second'
	set ylabel 'us'
	set title 'Median latency over throughput' noenhanced
	set key outside bottom center vertical noenhanced reverse Left
	plot for [i=0:series-1] data index i using 1:2 with linespoints title columnheader(1)
} else {
	set xlabel 'throughput, 1000 operations a second'
	set ylabel 'latency, microseconds'
	set key outside top center horizontal noenhanced reverse Left samplen 2
	set border linecolor '#8a8f98'
	set tics textcolor '#3a3f47'
	set grid linecolor '#e4e7eb' linetype 1
	array colours[8] = ['#0b6bcb', '#d9480f', '#2b8a3e', '#862e9c', '#c2255c', '#087f5b', '#5f3dc4', '#495057']
	colour(i) = colours[i % 8 + 1]
	set style fill transparent solid 0.12 noborder
	plot for [i=0:series-1] data index i using 1:2:3 with filledcurves \
			fillcolor rgb colour(i) notitle, \
	     for [i=0:series-1] data index i using 1:2 with linespoints linewidth 2 \
			pointtype 7 pointsize 0.6 linecolor rgb colour(i) title columnheader(1), \
	     for [file in exists('reference') ? reference : ''] file using 1:2 with points \
			pointtype 2 pointsize 1 linewidth 2 linecolor rgb '#8a8f98' title columnheader(1)
}

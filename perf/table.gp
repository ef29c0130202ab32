# SPDX-License-Identifier: Apache-2.0
# The table's bars. Called by perf/table.py: data holds a line of titles, then a
# line for each row: its name, and 1000 operations a second for each number of lcores.
set terminal svg size 1040, 90 + 46 * rows dynamic font 'Helvetica,13' background '#ffffff'
set output out
set datafile separator whitespace
set datafile missing '?'
set border 3 linecolor '#8a8f98'
set tics nomirror textcolor '#3a3f47'
set grid xtics linecolor '#e4e7eb' linetype 1
set logscale x
set format x '%g'
set xlabel 'throughput, 1000 operations a second'
set key outside top center horizontal noenhanced reverse Left samplen 2
set yrange [rows - 0.4 : -0.6]
set lmargin 38
array colours[6] = ['#9bbce0', '#0b6bcb', '#2b8a3e', '#d9480f', '#862e9c', '#495057']
width = 0.8 / columns
set xrange [0.5 : *]
plot data skip 1 using (0.5):0:ytic(1) with points pointsize 0 notitle, \
     for [i=0:columns-1] data using (0.5):($0 - 0.4 + width * i):(0.5):(column(i + 2)): \
		($0 - 0.4 + width * i):($0 - 0.4 + width * (i + 1)) with boxxyerror \
		fillstyle solid noborder linecolor rgb colours[i % 6 + 1] title columnheader(i + 2)

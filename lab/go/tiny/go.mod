module lab/tiny

go 1.24

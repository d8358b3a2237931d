module wireplug

go 1.24

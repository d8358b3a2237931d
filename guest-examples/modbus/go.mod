module codec/modbus

go 1.24

require wireplug v0.0.0

replace wireplug => ./wireplug

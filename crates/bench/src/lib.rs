//! Measures the gate from outside: CPU time, memory and instructions for each operation.

# Slicer writes files here that other extensions find this one by. No other extension is built against the stub.

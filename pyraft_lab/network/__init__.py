"""The network between servers: in memory or over MQTT, with faults on either, and brokers to start."""

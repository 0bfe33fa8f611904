"""How servers reach each other: memory or MQTT, faults on either, and a broker of one's own."""

"""Labs made of containers: a folder that anybody with containerlab can start, and the back end that starts it."""
